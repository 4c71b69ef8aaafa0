/*-------------------------------------------------------------------------
 *
 * registration.h
 *	  Whether the server took the launcher among its background workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_REGISTRATION_H
#define IU_REGISTRATION_H

extern bool iu_launcher_is_registered(void);

#endif							/* IU_REGISTRATION_H */
