/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  Definitions of the settings, of which none needs a restart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/settings.h"
#include "utils/guc.h"
#include "utils/varlena.h"

char	   *iu_databases = NULL;
char	   *iu_worker_role = NULL;
bool		iu_allow_removal = false;
int			iu_senders = 1;
int			iu_connect_timeout = 5000;
int			iu_request_timeout = 30000;
int			iu_connection_max_age = 300;
int			iu_drain_timeout = 3000;
int			iu_max_response_kb = 16384;
int			iu_max_request_kb = 4096;
int			iu_envelope_timeout = 2000;

/*
 * Splits the value of a list setting into palloc'd strings. By SplitGUCList,
 * since SplitIdentifierString folds case and truncates at 63 bytes.
 */
List *
iu_settings_list(const char *value)
{
	List	   *elements = NIL;

	if (value == NULL || value[0] == '\0')
		return NIL;
	if (!SplitGUCList(pstrdup(value), ',', &elements))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid list syntax in setting value \"%s\"", value),
				 errdetail("Value: %s.", value),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_setting_list")));
	return elements;
}

static bool
check_list(char **newval, void **extra, GucSource source)
{
	List	   *elements = NIL;

	if (*newval != NULL && (*newval)[0] != '\0' &&
		!SplitGUCList(pstrdup(*newval), ',', &elements))
	{
		GUC_check_errdetail("The list must be names separated by commas; "
							"a name that holds a comma or a space stands in double quotes.");
		return false;
	}
	return true;
}

/* A session sets it for itself. Set for the server, a database or a role it would be forgotten there. */
static bool
check_allow_removal(bool *newval, void **extra, GucSource source)
{
	if (!*newval || (source >= PGC_S_CLIENT && source != PGC_S_TEST))
		return true;
	GUC_check_errdetail("iu_core.allow_removal is set by a session for itself only.");
	return false;
}

/* A function sets it for as long as it runs, or a session for itself. Set for a database it would mark everybody. */
static bool
check_canonical_writer(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] == '\0' || source >= PGC_S_CLIENT || source == PGC_S_DEFAULT)
		return true;
	GUC_check_errdetail("app.canonical_writer is set by a function or a session for itself only.");
	return false;
}

/*
 * The marker by which a guard knows the function that may write a governed
 * table. It decides nothing by itself, so that anybody may set it. Defined here
 * because the server lets only a superuser pin a setting that nobody defined in
 * the definition of a function; a grant of it to iu_core_owner could not be
 * dropped again with what that role owns (PostgreSQL 18, DROP OWNED).
 */
static void
define_canonical_writer(void)
{
	static char *canonical_writer = NULL;

	DefineCustomStringVariable("app.canonical_writer",
							   "The function that writes a governed table, for as long as it runs.",
							   "Pinned in the definition of that function.",
							   &canonical_writer, "", PGC_USERSET, GUC_DISALLOW_IN_FILE | GUC_NOT_IN_SAMPLE,
							   check_canonical_writer, NULL, NULL);
}

/* Called once in each process that loads the library, or in the postmaster for all. */
void
iu_settings_define(void)
{
	define_canonical_writer();
	DefineCustomBoolVariable("iu_core.allow_removal",
							 "Lets this session drop what gates rest on, though migrations are applied.",
							 "Every gate must be closed. To uninstall at once, or to restore over a database.",
							 &iu_allow_removal, false, PGC_SUSET, GUC_DISALLOW_IN_FILE,
							 check_allow_removal, NULL, NULL);
	DefineCustomStringVariable("iu_core.databases",
							   "Databases in which iu_core runs its workers.",
							   "A comma-separated list of names; empty means no workers.",
							   &iu_databases, "", PGC_SIGHUP, 0,
							   check_list, NULL, NULL);
	DefineCustomStringVariable("iu_core.worker_role",
							   "Role as which the workers connect.",
							   "It must be able to log in and must not be a superuser.",
							   &iu_worker_role, "iu_core_worker", PGC_SIGHUP, 0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("iu_core.senders",
							"Sender processes per database.",
							"0 stops delivery; gates are still closed.",
							&iu_senders, 1, 0, IU_MAX_SENDERS, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("iu_core.connect_timeout",
							"Longest time to establish a connection, TLS included.",
							NULL, &iu_connect_timeout, 5000, 1, 600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("iu_core.request_timeout",
							"Longest time for a whole HTTP request.",
							"A route or a foreign server may ask for less.",
							&iu_request_timeout, 30000, 1, 3600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("iu_core.envelope_timeout",
							"Longest time for which a statement is kept by the refresh of the envelope after it.",
							"Never more than half of what statement_timeout leaves. What does not end by then is left "
							"to the runner.",
							&iu_envelope_timeout, 2000, 1, 600000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("iu_core.connection_max_age",
							"Longest age of a connection that is used for another HTTP request.",
							"So a host that has another address in DNS is found there.",
							&iu_connection_max_age, 300, 1, 86400,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("iu_core.drain_timeout",
							"Longest time that a sender which is to end waits for answers to what it has sent.",
							"What is not answered by then is sent again after the next start.",
							&iu_drain_timeout, 3000, 0, 30000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("iu_core.max_response_size",
							"Largest HTTP answer that is read.",
							NULL, &iu_max_response_kb, 16384, 1, 1048576,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("iu_core.max_request_size",
							"Largest HTTP request body that is sent.",
							NULL, &iu_max_request_kb, 4096, 1, 1048576,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
}
