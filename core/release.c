/*-------------------------------------------------------------------------
 *
 * release.c
 *	  Takes the workers out of a database that a command needs for itself.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME or SET TABLESPACE, and CREATE
 * DATABASE with a database as its template, fail while that database has other
 * sessions. An administrator who runs one should not have to know of our
 * workers. So before such a command, if its role may run it, the workers of the
 * database are asked to leave, and the launcher is kept from starting new ones.
 * When the transaction ends, either way, the launcher looks again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/release.h"
#include "core/slots.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "utils/acl.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define HOLD_MS 30000			/* for so long the launcher starts no worker, should it miss the end */
#define LEAVE_MS 3000			/* the time that the workers get to leave */
#define LOOK_MS 10				/* between looks whether they have left */

/* Whose workers are kept away until this transaction ends; empty: no database. */
static char held_database[NAMEDATALEN] = "";

static void
lift_hold(XactEvent event, void *arg)
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

/* Workers that have not left by then are left to the command, which waits and complains itself. */
static void
wait_until_gone(const pid_t *pids, int count)
{
	TimestampTz began = iu_now();
	uint32		wait_event = iu_wait_event("IuCoreWorkerLeave");

	while (any_present(pids, count) &&
		   !TimestampDifferenceExceeds(began, iu_now(), LEAVE_MS))
	{
		WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_MS, wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Whether every role with CREATEDB may copy the database. */
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

/* 15.18 and earlier keep their have_createdb_privilege() to themselves. */
static bool
may_create_databases(void)
{
	HeapTuple	tuple;
	bool		result;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	ReleaseSysCache(tuple);
	return result;
}

static void
release_database(const char *name, bool as_template)
{
	Oid			database = get_database_oid(name, true);
	pid_t		pids[IU_MAX_WORKERS];
	int			present;

	/* A role that may not run the command gets the command's own error; the workers stay. */
	if (!OidIsValid(database) ||
		(!iu_owns_database(database, GetUserId()) &&
		 !(as_template && may_create_databases() && is_template(database))))
		return;
	if (database == MyDatabaseId && !as_template)
		return;

	present = iu_slots_hold(name, TimestampTzPlusMilliseconds(iu_now(), HOLD_MS), pids);
	if (present < 0)
		return;
	strlcpy(held_database, name, NAMEDATALEN);
	wait_until_gone(pids, present);
}

static const char *
copied_database(const CreatedbStmt *statement)
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

/* The database that the statement needs for itself; NULL: none. */
static const char *
needed_database(Node *statement, bool in_block)
{
	switch (nodeTag(statement))
	{
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType != OBJECT_DATABASE)
				return NULL;
			return ((RenameStmt *) statement)->subname;

			/* Inside a transaction block the server refuses these. */
		case T_DropdbStmt:
			return in_block ? NULL : ((DropdbStmt *) statement)->dbname;
		case T_CreatedbStmt:
			return in_block ? NULL : copied_database((CreatedbStmt *) statement);
		case T_AlterDatabaseStmt:
			if (in_block || !sets_tablespace((AlterDatabaseStmt *) statement))
				return NULL;
			return ((AlterDatabaseStmt *) statement)->dbname;
		default:
			return NULL;
	}
}

/*
 * Asks the workers to leave the database that the statement is about to need
 * for itself, and waits a little for them. in_block: the statement runs inside
 * a transaction block.
 */
void
iu_release_before(Node *statement, bool in_block)
{
	const char *database = needed_database(statement, in_block);

	if (database != NULL)
		release_database(database, IsA(statement, CreatedbStmt));
}

/* Called once, in the postmaster. */
void
iu_release_init(void)
{
	RegisterXactCallback(lift_hold, NULL);
}
