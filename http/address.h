/*-------------------------------------------------------------------------
 *
 * address.h
 *	  Which peer addresses may be connected to. Part of egress.h; only
 *	  egress.c needs this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_ADDRESS_H
#define IU_ADDRESS_H

/* Defines iu_core.allowed_networks. */
extern void iu_address_define_setting(void);

#endif							/* IU_ADDRESS_H */
