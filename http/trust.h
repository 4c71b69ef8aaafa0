/*-------------------------------------------------------------------------
 *
 * trust.h
 *	  Whom a request trusts over TLS. Only for this floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_TRUST_H
#define IU_TRUST_H

#include "http/transfer.h"

extern bool iu_trust_prepare(const IuTransfer *transfer, CURL *easy);

#endif							/* IU_TRUST_H */
