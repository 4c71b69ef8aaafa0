/*-------------------------------------------------------------------------
 *
 * session.c
 *	  Under which settings a worker works: those of the server's configuration,
 *	  and some that the worker insists on. What ALTER DATABASE or ALTER ROLE set
 *	  does not hold for workers.
 *
 * Whoever owns the database may set nearly everything for it: time limits of a
 * millisecond, a plan without nested loops, an isolation level, a view that may
 * not be read. The server applies all that while it connects a process. So the
 * values are noted before, and what has become another one is put back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/session.h"
#include "core/compat.h"
#include "core/rights.h"
#include "mb/pg_wchar.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"

/* What a setting was before the process was connected. */
typedef struct Noted
{
	const struct config_generic *setting;
	char	   *value;
} Noted;

/* Of all settings, in the order in which the server has them. */
struct IuSessionSettings
{
	int			count;
	Noted	   *noted;
};

/*
 * What a worker insists on, whatever the server's configuration says: SQL of
 * people may rely on the rest of it. A worker's own time limits are in its
 * functions and duties; a plan of a few rows is never worth compiling.
 */
static const IuSetting insisted[] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_deferrable", "off"},
	{"default_transaction_read_only", "off"},
	{"statement_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"jit", "off"},
	{"exit_on_error", "off"},
	{"session_replication_role", "origin"},
	{"row_security", "on"},
	{"standard_conforming_strings", "on"},
	{"backslash_quote", "safe_encoding"},
	{"transform_null_equals", "off"},
	{"array_nulls", "on"},
	{"quote_all_identifiers", "off"},
	{"bytea_output", "hex"},
	{"extra_float_digits", "1"},
	{"xmloption", "content"},
	{"check_function_bodies", "on"},
	{"plpgsql.variable_conflict", "error"},
	{"plpgsql.extra_errors", "none"},
	{"plpgsql.extra_warnings", "none"},
	{"restrict_nonsystem_relation_kind", ""},
	{"transaction_timeout", "0"},
};

/* Notes the value of every setting. Before the process is connected. */
IuSessionSettings *
iu_session_note(void)
{
	IuSessionSettings *settings = palloc_object(IuSessionSettings);
	struct config_generic **all = iu_guc_variables(&settings->count);
	int			i;

	settings->noted = palloc_array(Noted, settings->count);
	for (i = 0; i < settings->count; i++)
	{
		const char *value = GetConfigOption(all[i]->name, true, false);

		settings->noted[i].setting = all[i];
		settings->noted[i].value = value == NULL ? NULL : pstrdup(value);
	}
	return settings;
}

/* Whether a setting comes from ALTER DATABASE or ALTER ROLE. */
static bool
is_of_database_or_role(const struct config_generic *setting)
{
	return setting->source == PGC_S_GLOBAL || setting->source == PGC_S_DATABASE ||
		setting->source == PGC_S_USER || setting->source == PGC_S_DATABASE_USER;
}

/* What the setting would be without them. */
static const char *
own_value(const Noted *noted)
{
	/* The server derives it from the database when it connects a process. */
	if (strcmp(noted->setting->name, "client_encoding") == 0)
		return GetDatabaseEncodingName();
	return noted->value;
}

/* Of what an older server does not know, nothing has to be put right. */
static void
put(const char *name, const char *value)
{
	if (iu_setting_is_known(name))
		(void) set_config_option(name, value, PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_SET, true, WARNING, false);
}

/* Sets what a worker insists on. */
void
iu_session_insist(void)
{
	int			i;

	for (i = 0; i < lengthof(insisted); i++)
		put(insisted[i].name, insisted[i].value);
}

/*
 * Puts back what ALTER DATABASE and ALTER ROLE have changed since the values
 * were noted, and sets what a worker insists on. Outside of transactions.
 */
void
iu_session_settle(IuSessionSettings *settings)
{
	int			i;

	for (i = 0; i < settings->count; i++)
	{
		const Noted *noted = &settings->noted[i];

		if (noted->value != NULL && is_of_database_or_role(noted->setting))
			put(noted->setting->name, own_value(noted));
	}
	iu_session_insist();
}
