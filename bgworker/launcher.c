/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The one static worker of the cluster. It keeps, for each database of
 *	  iu_core.databases, a watchdog, iu_core.senders senders and, if there are
 *	  any, a runner running.
 *
 * Each pass compares the workers that should run with the slots in shared
 * memory, and starts them, stops them or says why it cannot. Between passes the
 * launcher sleeps, without a timeout while all is as wanted: a worker that ends,
 * a reload, iu_core.wake() and the commands that create or change databases and
 * roles set its latch.
 *
 * The launcher is connected to no database, so it sees only the shared catalogs,
 * and those only by scans that do without an index where the server has not
 * built its cache of shared relations yet, as after a crash.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "bgworker/launcher.h"
#include "bgworker/loop.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/settings.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"

#define RETRY_MS 10000			/* look again while something is not as wanted */
#define FIRST_DELAY_MS 1000		/* between starts of a worker that fails quickly */
#define MAX_DELAY_MS 60000
#define LAUNCHER_RESTART_S 5
#define LIVED_LONG_MS 10000		/* a worker that lived this long did not fail quickly */

PGDLLEXPORT void iu_launcher_main(Datum main_arg);

/* What this launcher knows of the process it last started in a slot. */
typedef struct Start
{
	BackgroundWorkerHandle *handle;
	uint64		generation;
	TimestampTz at;
	int			delay_ms;		/* to the next start, if it fails quickly */
} Start;

/* Whether workers can run in a database, and as whom. */
typedef struct Verdict
{
	IuWorkerState state;		/* IU_RUNNING: it can */
	Oid			role;
	Oid			database;
	const char *why;			/* they cannot, for people */
	const char *hint;
} Verdict;

typedef struct Launcher
{
	Start		starts[IU_MAX_WORKERS]; /* by slot */
	TimestampTz next;			/* when to look again; DT_NOEND: when woken */

	/* What the running pass has found. */
	bool		keep[IU_MAX_WORKERS];	/* the slot's worker is wanted */
	const char *trouble;		/* why something that is wanted does not run; NULL: there is no reason */
} Launcher;

/* The server's description of a worker process of this role. database: for its name; may be empty. */
static void
describe_worker(BackgroundWorker *worker, IuWorkerRole role, const char *database, int restart_s)
{
	const char *name = iu_worker_role_names[role];

	memset(worker, 0, sizeof(BackgroundWorker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = restart_s;
	strlcpy(worker->bgw_library_name, "iu_core", BGW_MAXLEN);
	snprintf(worker->bgw_function_name, BGW_MAXLEN, "iu_%s_main", name);
	snprintf(worker->bgw_type, BGW_MAXLEN, "iu_core %s", name);
	snprintf(worker->bgw_name, BGW_MAXLEN, database[0] == '\0' ? "iu_core %s%s" : "iu_core %s %s", name, database);
}

/* Has the postmaster start the launcher, and start it again after it ends. */
void
iu_launcher_register(void)
{
	BackgroundWorker worker;

	describe_worker(&worker, IU_LAUNCHER, "", LAUNCHER_RESTART_S);
	RegisterBackgroundWorker(&worker);
}

static void
refuse(Verdict *verdict, IuWorkerState state, const char *why, const char *hint)
{
	verdict->state = state;
	verdict->why = why;
	verdict->hint = hint;
}

/* A copy of the row of that name in a shared catalog; NULL: none. */
static HeapTuple
find_by_name(Oid catalog, Oid index, AttrNumber column, const char *name)
{
	Relation	relation = table_open(catalog, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(name));
	scan = systable_beginscan(relation, index, criticalSharedRelcachesBuilt, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return tuple;
}

/* Sets the role of the workers, or why they cannot run as it. */
static void
judge_role(Verdict *verdict)
{
	HeapTuple	tuple = find_by_name(AuthIdRelationId, AuthIdRolnameIndexId,
									 Anum_pg_authid_rolname, iu_worker_role);
	Form_pg_authid role;

	if (!HeapTupleIsValid(tuple))
	{
		refuse(verdict, IU_ROLE_MISSING,
			   psprintf("role \"%s\" does not exist", iu_worker_role),
			   "CREATE EXTENSION iu_core makes the role iu_core_worker; "
			   "another one can be named in iu_core.worker_role.");
		return;
	}
	role = (Form_pg_authid) GETSTRUCT(tuple);
	verdict->role = role->oid;
	if (role->rolsuper)
		refuse(verdict, IU_ROLE_SUPERUSER,
			   psprintf("role \"%s\" is a superuser, and workers do not run as one", iu_worker_role),
			   psprintf("ALTER ROLE %s NOSUPERUSER; or name another role in iu_core.worker_role.",
						quote_identifier(iu_worker_role)));
	else if (!role->rolcanlogin)
		refuse(verdict, IU_ROLE_NOLOGIN,
			   psprintf("role \"%s\" is not permitted to log in", iu_worker_role),
			   psprintf("ALTER ROLE %s LOGIN; it needs no password.", quote_identifier(iu_worker_role)));
}

/* Sets the database, or why workers cannot run in it. */
static void
judge_database(Verdict *verdict, const char *name)
{
	HeapTuple	tuple = find_by_name(DatabaseRelationId, DatabaseNameIndexId,
									 Anum_pg_database_datname, name);
	Form_pg_database database;

	if (!HeapTupleIsValid(tuple))
	{
		refuse(verdict, IU_DATABASE_MISSING, psprintf("database \"%s\" does not exist", name),
			   "Create it, or take it out of iu_core.databases.");
		return;
	}
	database = (Form_pg_database) GETSTRUCT(tuple);
	verdict->database = database->oid;
	if (database_is_invalid_form(database))
		refuse(verdict, IU_DATABASE_MISSING,
			   psprintf("database \"%s\" is invalid: its removal was interrupted", name),
			   psprintf("Finish it: DROP DATABASE %s;", quote_identifier(name)));
	else if (!database->datallowconn)
		refuse(verdict, IU_DATABASE_MISSING,
			   psprintf("database \"%s\" does not accept connections", name),
			   psprintf("ALTER DATABASE %s ALLOW_CONNECTIONS true; or take it out of iu_core.databases.",
						quote_identifier(name)));
}

/* Has the server start a process in a slot that has none. before: the slot as it was looked at. */
static void
start_worker(Launcher *launcher, int slot, const IuWorkerSlot *before, const Verdict *verdict)
{
	Start	   *start = &launcher->starts[slot];
	BackgroundWorker worker;
	MemoryContext caller;
	bool		registered;

	start->generation = iu_slot_begin(slot, verdict->database, verdict->role);
	if (start->generation == 0)
	{
		/* A command got hold of the database since the look at the slot; its end wakes the launcher. */
		iu_bring_forward(&launcher->next, iu_from_now(RETRY_MS));
		return;
	}
	describe_worker(&worker, before->role, NameStr(before->database), BGW_NEVER_RESTART);
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(slot);
	memcpy(worker.bgw_extra, &start->generation, sizeof(start->generation));

	if (start->handle != NULL)
		pfree(start->handle);
	start->handle = NULL;
	start->at = iu_now();
	start->delay_ms = start->delay_ms == 0 ? FIRST_DELAY_MS : Min(start->delay_ms * 2, MAX_DELAY_MS);
	caller = MemoryContextSwitchTo(TopMemoryContext);	/* the handle outlives the pass */
	registered = RegisterDynamicBackgroundWorker(&worker, &start->handle);
	MemoryContextSwitchTo(caller);
	if (registered)
	{
		iu_worker_count(IU_COUNT_STARTED, 1);
		return;
	}
	start->delay_ms = 0;
	launcher->trouble = "no background worker slot is free: raise max_worker_processes and restart the server";
	iu_slot_state(slot, IU_FAILING, launcher->trouble);
	iu_bring_forward(&launcher->next, iu_from_now(RETRY_MS));
}

/* Whether the process that was last started in the slot has not attached to it yet, and still may. */
static bool
is_on_its_way(const Launcher *launcher, int slot, const IuWorkerSlot *now)
{
	const Start *start = &launcher->starts[slot];
	pid_t		pid;
	BgwHandleStatus status;

	if (start->handle == NULL || start->generation != now->generation || now->state != IU_STARTING)
		return false;
	status = GetBackgroundWorkerPid(start->handle, &pid);
	return status == BGWH_STARTED || status == BGWH_NOT_YET_STARTED;
}

/* When a worker that ended may start again; 0: now. */
static TimestampTz
not_before(Launcher *launcher, int slot, TimestampTz now)
{
	Start	   *start = &launcher->starts[slot];
	TimestampTz due;

	if (start->delay_ms == 0 || TimestampDifferenceExceeds(start->at, now, Max(LIVED_LONG_MS, start->delay_ms)))
	{
		start->delay_ms = 0;
		return 0;
	}
	due = TimestampTzPlusMilliseconds(start->at, start->delay_ms);
	return due > now ? due : 0;
}

/*
 * Starts, replaces or retires the process of a slot, as the verdict on its
 * database and the role of the workers wants it.
 */
static void
tend_slot(Launcher *launcher, int slot, const Verdict *verdict)
{
	IuWorkerSlot now;
	TimestampTz due;

	iu_slot_read(slot, &now);
	if (now.held_until > iu_now())
	{
		/* A command needs the database for itself (core/release.c): judge it afterwards. */
		launcher->starts[slot].delay_ms = 0;
		iu_bring_forward(&launcher->next, now.held_until);
		return;
	}
	if (verdict->state != IU_RUNNING)
	{
		launcher->starts[slot].delay_ms = 0;
		if (iu_slot_retire(slot))
			iu_slot_state(slot, verdict->state, verdict->why);
		iu_bring_forward(&launcher->next, iu_from_now(RETRY_MS));
		return;
	}
	if (now.pid != 0)
	{
		if (now.worker_role != verdict->role || now.database_oid != verdict->database)
		{
			launcher->starts[slot].delay_ms = 0;
			(void) iu_slot_retire(slot);
		}
		return;
	}
	if (is_on_its_way(launcher, slot, &now))
		return;
	due = not_before(launcher, slot, iu_now());
	if (due != 0)
		iu_bring_forward(&launcher->next, due);
	else
		start_worker(launcher, slot, &now, verdict);
}

/* Writes a verdict to the server log when it becomes so; the slot shows it as long as it lasts. */
static void
log_refusal(const char *database, int watchdog_slot, const Verdict *verdict)
{
	IuWorkerSlot slot;

	iu_slot_read(watchdog_slot, &slot);
	if (slot.state == verdict->state || slot.pid != 0 || slot.held_until != 0)
		return;
	ereport(LOG,
			(errmsg("iu_core does not run in database \"%s\": %s", database, verdict->why),
			 errhint("%s", verdict->hint)));
}

/* Tends the slot of one worker of a database. number: of a sender; 0 for the others. */
static void
serve_slot(Launcher *launcher, const Verdict *verdict, IuWorkerRole role, const char *database, int number)
{
	int			slot = iu_slot_obtain(role, database, number);

	if (slot < 0)
	{
		launcher->trouble = "too many workers: shorten iu_core.databases or lower iu_core.senders";
		return;
	}
	launcher->keep[slot] = true;
	if (role == IU_WATCHDOG && verdict->state != IU_RUNNING)
		log_refusal(database, slot, verdict);
	tend_slot(launcher, slot, verdict);
}

/* Tends the slots of all workers that a database is to have. */
static void
serve_database(Launcher *launcher, const char *name, const Verdict *role_verdict)
{
	Verdict		verdict = *role_verdict;
	int			number;

	if (verdict.state == IU_RUNNING)
		judge_database(&verdict, name);
	serve_slot(launcher, &verdict, IU_WATCHDOG, name, 0);
	for (number = 1; number <= iu_senders; number++)
		serve_slot(launcher, &verdict, IU_SENDER, name, number);
	if (iu_senders > 0)
		serve_slot(launcher, &verdict, IU_RUNNER, name, 0);
}

/*
 * A name as CREATE DATABASE takes it: one that is too long is cut, between two
 * characters. The launcher is in no database, whose encoding it could ask for;
 * in others than UTF-8 it takes the bytes for single ones.
 */
static void
copy_name(Name to, const char *name)
{
	size_t		length = strlen(name);
	int			encoding = pg_verify_mbstr(PG_UTF8, name, length, true) ? PG_UTF8 : PG_SQL_ASCII;

	memset(to, 0, sizeof(NameData));
	memcpy(NameStr(*to), name, pg_encoding_mbcliplen(encoding, name, length, NAMEDATALEN - 1));
}

/* Retires the workers that are no longer wanted, and gives up the slots of those that have left. */
static void
drop_unwanted(Launcher *launcher)
{
	IuWorkerSlot slot;
	int			i;

	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		if (launcher->keep[i] || !iu_slot_read(i, &slot))
			continue;
		if (iu_slot_retire(i))
		{
			if (launcher->starts[i].handle != NULL)
				pfree(launcher->starts[i].handle);
			memset(&launcher->starts[i], 0, sizeof(Start));
			iu_slot_release(i);
		}
	}
}

/* Makes the workers that run be those that should. */
static void
reconcile(void *argument)
{
	Launcher   *launcher = argument;
	Verdict		verdict = {IU_RUNNING};
	ListCell   *cell;

	memset(launcher->keep, 0, sizeof(launcher->keep));
	launcher->keep[iu_worker_slot()] = true;
	launcher->trouble = NULL;
	launcher->next = DT_NOEND;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	judge_role(&verdict);
	foreach(cell, iu_settings_list(iu_databases))
	{
		NameData	name;

		copy_name(&name, lfirst(cell));
		serve_database(launcher, NameStr(name), &verdict);
	}
	drop_unwanted(launcher);
	CommitTransactionCommand();
}

static ErrorData *
launch(void *worker)
{
	Launcher   *launcher = worker;
	ErrorData  *error = iu_worker_try(reconcile, launcher);

	if (error != NULL)
		return error;
	iu_worker_ready(IU_RUNNING);
	if (launcher->trouble != NULL)
		iu_worker_report(iu_worker_error(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, pstrdup(launcher->trouble)));
	return NULL;
}

static TimestampTz
launcher_due(void *worker)
{
	return ((Launcher *) worker)->next;
}

static bool
launcher_is_troubled(void *worker)
{
	return ((Launcher *) worker)->trouble != NULL;
}

static const IuDuty launcher_duties[] = {
	{IU_EACH_PASS_ALWAYS, launcher_due, launch, RETRY_MS, RETRY_MS}
};

static const IuWorkerKind launcher_kind = {
	.wait_event = "IuCoreLauncherMain",
	.duties = launcher_duties,
	.duty_count = lengthof(launcher_duties),
	.troubled = launcher_is_troubled
};

/* The main function of the process. */
void
iu_launcher_main(Datum main_arg)
{
	int			slot = iu_slot_obtain(IU_LAUNCHER, "", 0);

	/* Exit code 1: the postmaster starts it again after a while. */
	if (slot < 0 || !iu_worker_attach(slot, iu_slot_begin(slot, InvalidOid, InvalidOid)))
		proc_exit(1);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_type, PGC_USERSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_IDLE, NULL);
	iu_worker_run(&launcher_kind, MemoryContextAllocZero(TopMemoryContext, sizeof(Launcher)));
}
