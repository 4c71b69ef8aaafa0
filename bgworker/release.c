/*-------------------------------------------------------------------------
 *
 * release.c
 *	  DROP DATABASE, ALTER DATABASE ... RENAME or SET TABLESPACE, and CREATE
 *	  DATABASE with it as template, need a database without other sessions.
 *	  An administrator who runs one should not have to know of our workers.
 *
 * Before such a command, by somebody who may run it, the workers of that
 * database are asked to leave and the launcher is kept from starting new ones;
 * when the transaction ends, either way, the launcher looks again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "bgworker/release.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "core/compat.h"
#include "core/slots.h"
#include "core/wake.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define HOLD_MS 30000			/* at most, should the transaction's end be missed */
#define LEAVE_MS 3000			/* what a worker gets to leave */
#define LOOK_MS 10

static ProcessUtility_hook_type previous_utility_hook = NULL;
static char held_database[NAMEDATALEN] = "";

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (held_database[0] == '\0' ||
		(event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE))
		return;
	iu_slots_hold(held_database, 0, NULL);
	held_database[0] = '\0';
	iu_slots_wake(IU_WAKE(IU_LAUNCHER), InvalidOid);
}

static bool
any_present(const pid_t *pids, int count)
{
	int			i;

	for (i = 0; i < count; i++)
		if (BackendPidGetProc(pids[i]) != NULL)
			return true;
	return false;
}

/* Those that do not make it are left to the command, which waits and complains itself. */
static void
wait_until_gone(const pid_t *pids, int count)
{
	TimestampTz began = GetCurrentTimestamp();
	uint32		wait_event = iu_wait_event("IuCoreWorkerLeave");

	while (any_present(pids, count) &&
		   !TimestampDifferenceExceeds(began, GetCurrentTimestamp(), LEAVE_MS))
	{
		WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_MS, wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static bool
is_template(Oid database)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	return result;
}

static void
release_database(const char *name, bool as_template)
{
	Oid			database = get_database_oid(name, true);
	pid_t		pids[IU_MAX_WORKERS];
	int			present;

	/* Who may not run the command gets its own error, and disturbs nobody. */
	if (!OidIsValid(database) ||
		(!iu_owns_database(database, GetUserId()) &&
		 !(as_template && have_createdb_privilege() && is_template(database))))
		return;
	if (database == MyDatabaseId && !as_template)
		return;

	present = iu_slots_hold(name, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), HOLD_MS), pids);
	if (present < 0)
		return;
	strlcpy(held_database, name, NAMEDATALEN);
	wait_until_gone(pids, present);
}

static const char *
template_of(const CreatedbStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return "template1";
}

static bool
sets_tablespace(const AlterDatabaseStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->options)
		if (strcmp(((DefElem *) lfirst(cell))->defname, "tablespace") == 0)
			return true;
	return false;
}

/* The database that the command needs for itself; NULL: none. */
static const char *
needed_database(Node *statement, bool in_block)
{
	switch (nodeTag(statement))
	{
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType != OBJECT_DATABASE)
				return NULL;
			return ((RenameStmt *) statement)->subname;

			/* The others refuse to run inside a transaction block. */
		case T_DropdbStmt:
			return in_block ? NULL : ((DropdbStmt *) statement)->dbname;
		case T_CreatedbStmt:
			return in_block ? NULL : template_of((CreatedbStmt *) statement);
		case T_AlterDatabaseStmt:
			if (in_block || !sets_tablespace((AlterDatabaseStmt *) statement))
				return NULL;
			return ((AlterDatabaseStmt *) statement)->dbname;
		default:
			return NULL;
	}
}

static void
release_before_utility(PlannedStmt *planned, const char *query, bool read_only_tree,
					   ProcessUtilityContext context, ParamListInfo parameters,
					   QueryEnvironment *environment, DestReceiver *receiver,
					   QueryCompletion *completion)
{
	Node	   *statement = planned->utilityStmt;
	const char *database = needed_database(statement, IsInTransactionBlock(context == PROCESS_UTILITY_TOPLEVEL));

	if (database != NULL)
		release_database(database, IsA(statement, CreatedbStmt));
	if (previous_utility_hook)
		previous_utility_hook(planned, query, read_only_tree, context, parameters,
							  environment, receiver, completion);
	else
		standard_ProcessUtility(planned, query, read_only_tree, context, parameters,
								environment, receiver, completion);
}

void
iu_release_init(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = release_before_utility;
	RegisterXactCallback(at_transaction_end, NULL);
}
