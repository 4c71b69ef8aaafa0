/*-------------------------------------------------------------------------
 *
 * rights.c
 *	  As which role, and under which settings, the library runs SQL that has
 *	  more rights than the one who called it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/rights.h"
#include "miscadmin.h"
#include "utils/guc.h"

/*
 * What a session may have set and what would change the meaning of a script,
 * or keep its triggers from firing. The caller's time limits stay in force.
 */
static const IuSetting pinned[] = {
	/*
	 * Without public: where others may create there, a function or operator of
	 * theirs that fits the arguments better would be called in place of
	 * pg_catalog's. And CREATE without a schema fails instead of landing
	 * somewhere.
	 */
	{"search_path", "pg_catalog, pg_temp"},
	{"session_replication_role", "origin"},
	{"check_function_bodies", "on"},
	{"standard_conforming_strings", "on"},
	{"backslash_quote", "safe_encoding"},
	{"transform_null_equals", "off"},
	{"array_nulls", "on"},
	{"row_security", "on"},
	{"default_tablespace", ""},
	{"default_table_access_method", "heap"},
	{"datestyle", "ISO, YMD"},
	{"intervalstyle", "postgres"},
	{"timezone", "UTC"},
	{"bytea_output", "hex"},
	{"xmloption", "content"},
	{"extra_float_digits", "1"},
	{"plpgsql.variable_conflict", "error"},
	{"plpgsql.check_asserts", "on"},
	{"plpgsql.extra_errors", "none"},
	{"plpgsql.extra_warnings", "none"},
	{"quote_all_identifiers", "off"},
	{"jit", "off"},
	/* A worker gives up a lock after a second: it is to do so before the run is ended as a deadlock's victim. */
	{"deadlock_timeout", "10s"},
	{"restrict_nonsystem_relation_kind", ""},
};

/*
 * Makes the rest of the (sub)transaction act as the role, without SET ROLE:
 * what the scripts run cannot leave the role again. Returns who acted until
 * now, for iu_become_again. An error puts that back as well.
 */
IuIdentity
iu_become(Oid role)
{
	IuIdentity	caller;

	GetUserIdAndSecContext(&caller.user, &caller.security);
	SetUserIdAndSecContext(role, caller.security | SECURITY_LOCAL_USERID_CHANGE);
	return caller;
}

/* Acts again as the one whom iu_become returned. */
void
iu_become_again(IuIdentity caller)
{
	SetUserIdAndSecContext(caller.user, caller.security);
}

/* Whether this server has such a setting. One of a language is known once that is loaded. */
bool
iu_setting_is_known(const char *name)
{
	return strchr(name, GUC_QUALIFIER_SEPARATOR) != NULL || GetConfigOption(name, true, false) != NULL;
}

/*
 * Sets everything in the table above, whatever the session had set. Returns
 * the nesting level with which AtEOXact_GUC(false, level) undoes it; an error
 * undoes it as well.
 */
int
iu_pin_settings(void)
{
	int			level = NewGUCNestLevel();
	int			i;

	for (i = 0; i < lengthof(pinned); i++)
		if (iu_setting_is_known(pinned[i].name))
			(void) set_config_option(pinned[i].name, pinned[i].value, PGC_SUSET, PGC_S_SESSION,
									 GUC_ACTION_SAVE, true, 0, false);
	if (client_min_messages < WARNING)
		(void) set_config_option("client_min_messages", "warning", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return level;
}
