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

/* Holds nothing; views of other people are read as it. */
#define IU_CHECK_ROLE "iu_core_check"

/* Who acts, and under which restrictions. */
typedef struct IuIdentity
{
	Oid			user;
	int			security;
} IuIdentity;

/* A setting, and what it is to be. */
typedef struct IuSetting
{
	const char *name;
	const char *value;
} IuSetting;

extern IuIdentity iu_become(Oid role);
extern void iu_become_again(IuIdentity caller);
extern bool iu_setting_is_known(const char *name);
extern int	iu_pin_settings(void);

#endif							/* IU_RIGHTS_H */
