/*-------------------------------------------------------------------------
 *
 * rights.h
 *	  As which role, and under which settings, the library runs SQL that has
 *	  more rights than the one who called it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_RIGHTS_H
#define IU_RIGHTS_H

/* Owns what the migrations make; their scripts run as it. */
#define IU_OWNER_ROLE "iu_core_owner"

/* Who acts, and under which restrictions. */
typedef struct IuIdentity
{
	Oid			user;
	int			security;
} IuIdentity;

extern IuIdentity iu_become(Oid role);
extern void iu_become_again(IuIdentity caller);
extern int	iu_pin_settings(void);

#endif							/* IU_RIGHTS_H */
