/*-------------------------------------------------------------------------
 *
 * handle.h
 *	  What libcurl is told of a request. Only for this floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_HANDLE_H
#define IU_HANDLE_H

#include "http/transfer.h"

struct IuSockets;

extern bool iu_handle_is_plain(const IuTransfer *transfer);
extern bool iu_handle_prepare(struct IuSockets *sockets, IuTransfer *transfer, CURL *easy, bool kept);
extern bool iu_handle_put_back(const IuTransfer *transfer, CURL *easy);
extern void iu_transfer_set_connect_limit(IuTransfer *transfer);

#endif							/* IU_HANDLE_H */
