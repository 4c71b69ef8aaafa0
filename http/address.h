/*-------------------------------------------------------------------------
 *
 * address.h
 *	  Which addresses may be connected to: iu_core.allowed_networks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_ADDRESS_H
#define IU_ADDRESS_H

#include <sys/socket.h>

extern void iu_address_define_setting(void);
extern bool iu_address_allows(const struct sockaddr *peer);

#endif							/* IU_ADDRESS_H */
