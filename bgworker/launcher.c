/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The one static worker of the cluster. It keeps, for each database of
 *	  iu_core.databases, a watchdog, iu_core.senders senders and, if there are
 *	  any, a runner running.
 *
 * Each pass compares what should run with the slots in shared memory and
 * starts, stops or says why not. Between passes it sleeps, without a timeout
 * while all is as wanted: a worker that ends, a reload, iu_core.wake() and the
 * commands that create or change databases and roles set its latch.
 *
 * It is connected to no database, so it sees only the shared catalogs, and
 * those only by scans that do without an index where the server has not built
 * its cache of shared relations yet, as after a crash.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "bgworker/launcher.h"
#include "bgworker/worker.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "core/compat.h"
#include "core/settings.h"
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

/* Whether a database can be served, and as whom; why is for people. */
typedef struct Verdict
{
	IuWorkerState state;		/* IU_RUNNING: it can */
	Oid			role;
	Oid			database;
	const char *why;
	const char *hint;
} Verdict;

/* A pass collects what it finds. */
typedef struct Pass
{
	bool		keep[IU_MAX_WORKERS];
	TimestampTz next;			/* 0: nothing to wait for */
	const char *trouble;		/* NULL: none */
} Pass;

static Start starts[IU_MAX_WORKERS];

void
iu_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, "iu_core", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "iu_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "iu_core launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "iu_core launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

static void
look_again_at(Pass *pass, TimestampTz when)
{
	if (pass->next == 0 || when < pass->next)
		pass->next = when;
}

static void
look_again_in(Pass *pass, int ms)
{
	look_again_at(pass, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms));
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
			   "CREATE EXTENSION iu_core makes the role iu_core_worker; another one can be named in iu_core.worker_role.");
		return;
	}
	role = (Form_pg_authid) GETSTRUCT(tuple);
	verdict->role = role->oid;
	if (role->rolsuper)
		refuse(verdict, IU_ROLE_SUPERUSER,
			   psprintf("role \"%s\" is a superuser, and workers do not run as one", iu_worker_role),
			   psprintf("ALTER ROLE %s NOSUPERUSER; or name another role in iu_core.worker_role.", quote_identifier(iu_worker_role)));
	else if (!role->rolcanlogin)
		refuse(verdict, IU_ROLE_NOLOGIN,
			   psprintf("role \"%s\" is not permitted to log in", iu_worker_role),
			   psprintf("ALTER ROLE %s LOGIN; it needs no password.", quote_identifier(iu_worker_role)));
}

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
			   psprintf("ALTER DATABASE %s ALLOW_CONNECTIONS true; or take it out of iu_core.databases.", quote_identifier(name)));
}

static void
start_worker(Pass *pass, int slot, const IuWorkerSlot *before, const Verdict *verdict)
{
	Start	   *start = &starts[slot];
	BackgroundWorker worker;
	const char *kind = iu_worker_role_names[before->role];
	MemoryContext caller;
	bool		registered;

	start->generation = iu_slot_begin(slot, verdict->database, verdict->role);
	if (start->generation == 0)
	{
		/* Held since we looked; whoever holds it wakes us. */
		look_again_in(pass, RETRY_MS);
		return;
	}
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(slot);
	memcpy(worker.bgw_extra, &start->generation, sizeof(start->generation));
	strlcpy(worker.bgw_library_name, "iu_core", BGW_MAXLEN);
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "iu_%s_main", kind);
	snprintf(worker.bgw_type, BGW_MAXLEN, "iu_core %s", kind);
	snprintf(worker.bgw_name, BGW_MAXLEN, "iu_core %s %s", kind, NameStr(before->database));

	if (start->handle != NULL)
		pfree(start->handle);
	start->handle = NULL;
	start->at = GetCurrentTimestamp();
	start->delay_ms = start->delay_ms == 0 ? FIRST_DELAY_MS : Min(start->delay_ms * 2, MAX_DELAY_MS);
	caller = MemoryContextSwitchTo(TopMemoryContext);	/* the handle outlives the pass */
	registered = RegisterDynamicBackgroundWorker(&worker, &start->handle);
	MemoryContextSwitchTo(caller);
	if (registered)
	{
		iu_slot_count(iu_my_slot, IU_COUNT_STARTED, 1);
		return;
	}
	start->delay_ms = 0;
	pass->trouble = "no background worker slot is free: raise max_worker_processes and restart the server";
	iu_slot_state(slot, IU_FAILING, pass->trouble);
	look_again_in(pass, RETRY_MS);
}

/* Started by us and not attached yet. */
static bool
is_on_its_way(int slot, const IuWorkerSlot *now)
{
	Start	   *start = &starts[slot];
	pid_t		pid;
	BgwHandleStatus status;

	if (start->handle == NULL || start->generation != now->generation || now->state != IU_STARTING)
		return false;
	status = GetBackgroundWorkerPid(start->handle, &pid);
	return status == BGWH_STARTED || status == BGWH_NOT_YET_STARTED;
}

/* When a worker that ended may start again; 0: now. */
static TimestampTz
not_before(int slot, TimestampTz now)
{
	Start	   *start = &starts[slot];
	TimestampTz due;

	if (start->delay_ms == 0 || TimestampDifferenceExceeds(start->at, now, Max(LIVED_LONG_MS, start->delay_ms)))
	{
		start->delay_ms = 0;
		return 0;
	}
	due = TimestampTzPlusMilliseconds(start->at, start->delay_ms);
	return due > now ? due : 0;
}

static void
tend_slot(Pass *pass, int slot, const Verdict *verdict)
{
	IuWorkerSlot now;
	TimestampTz due;

	iu_slot_read(slot, &now);
	if (now.held_until > GetCurrentTimestamp())
	{
		/* A command is at work on this database: judge it afterwards. */
		starts[slot].delay_ms = 0;
		look_again_at(pass, now.held_until);
		return;
	}
	if (verdict->state != IU_RUNNING)
	{
		starts[slot].delay_ms = 0;
		iu_slot_retire(slot);
		if (now.pid == 0)
			iu_slot_state(slot, verdict->state, verdict->why);
		look_again_in(pass, RETRY_MS);
		return;
	}
	if (now.pid != 0)
	{
		if (now.worker_role != verdict->role || now.database_oid != verdict->database)
		{
			starts[slot].delay_ms = 0;
			iu_slot_retire(slot);
		}
		return;
	}
	if (is_on_its_way(slot, &now))
		return;
	due = not_before(slot, GetCurrentTimestamp());
	if (due != 0)
		look_again_at(pass, due);
	else
		start_worker(pass, slot, &now, verdict);
}

/* In the log once, when it becomes so; the slot says it all the time. */
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

static void
serve_slot(Pass *pass, const Verdict *verdict, IuWorkerRole role, const char *database, int number)
{
	int			slot = iu_slot_obtain(role, database, number);

	if (slot < 0)
	{
		pass->trouble = "too many workers: shorten iu_core.databases or lower iu_core.senders";
		return;
	}
	pass->keep[slot] = true;
	if (role == IU_WATCHDOG && verdict->state != IU_RUNNING)
		log_refusal(database, slot, verdict);
	tend_slot(pass, slot, verdict);
}

static void
serve_database(Pass *pass, const char *name, const Verdict *role_verdict)
{
	Verdict		verdict = *role_verdict;
	int			number;

	if (verdict.state == IU_RUNNING)
		judge_database(&verdict, name);
	serve_slot(pass, &verdict, IU_WATCHDOG, name, 0);
	for (number = 1; number <= iu_senders; number++)
		serve_slot(pass, &verdict, IU_SENDER, name, number);
	if (iu_senders > 0)
		serve_slot(pass, &verdict, IU_RUNNER, name, 0);
}

/* What is no longer wanted leaves; its slot is given up when it has left. */
static void
drop_unwanted(Pass *pass)
{
	IuWorkerSlot slot;
	int			i;

	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		if (pass->keep[i] || !iu_slot_read(i, &slot))
			continue;
		iu_slot_retire(i);
		if (slot.pid == 0)
		{
			if (starts[i].handle != NULL)
				pfree(starts[i].handle);
			memset(&starts[i], 0, sizeof(Start));
			iu_slot_release(i);
		}
	}
}

static void
reconcile(void *argument)
{
	Pass	   *pass = argument;
	MemoryContext outside = CurrentMemoryContext;
	Verdict		verdict = {IU_RUNNING};
	ListCell   *cell;

	memset(pass, 0, sizeof(Pass));
	pass->keep[iu_my_slot] = true;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	judge_role(&verdict);
	foreach(cell, iu_settings_list(iu_databases))
	{
		NameData	name;

		namestrcpy(&name, lfirst(cell));
		serve_database(pass, NameStr(name), &verdict);
	}
	drop_unwanted(pass);
	CommitTransactionCommand();
	MemoryContextSwitchTo(outside);
}

static void
begin_launcher(void)
{
	int			slot = iu_slot_obtain(IU_LAUNCHER, "", 0);

	/* Exit code 1: the postmaster starts it again after a while. */
	if (slot < 0 || !iu_worker_attach(slot, iu_slot_begin(slot, InvalidOid, InvalidOid)))
		proc_exit(1);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_type, PGC_USERSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_IDLE, NULL);
}

static void
show_outcome(const Pass *pass)
{
	if (pass->trouble != NULL)
		iu_worker_report(iu_worker_error(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, pstrdup(pass->trouble)));
	else
		iu_slot_state(iu_my_slot, IU_RUNNING, "");
	iu_slot_tick(iu_my_slot, pass->next);
}

void
iu_launcher_main(Datum main_arg)
{
	MemoryContext loop_context;
	uint32		wait_event = iu_wait_event("IuCoreLauncherMain");

	begin_launcher();
	loop_context = AllocSetContextCreate(TopMemoryContext, "iu_core launcher pass", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		Pass		pass;
		ErrorData  *error;

		MemoryContextReset(loop_context);
		MemoryContextSwitchTo(loop_context);
		iu_worker_absorb();
		error = iu_worker_try(reconcile, &pass);
		if (error != NULL)
		{
			iu_worker_report(error);
			pass.next = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_MS);
			iu_slot_tick(iu_my_slot, pass.next);
		}
		else
			show_outcome(&pass);
		iu_worker_sleep(pass.next, wait_event);
	}
}
