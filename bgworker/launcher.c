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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgworker/launcher.h"
#include "bgworker/loop.h"
#include "bgworker/session.h"
#include "bgworker/wanted.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/settings.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define RETRY_MS 10000			/* look again while something is not as wanted */
#define FIRST_DELAY_MS 1000		/* between starts of a worker that fails quickly */
#define MAX_DELAY_MS 60000
#define ROOM_MS 5000			/* between two workers that leave to make room */
#define ROOM_RETRY_MS 200
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

typedef struct Launcher
{
	Start		starts[IU_MAX_WORKERS]; /* by slot */
	TimestampTz next;			/* when to look again; DT_NOEND: when woken */
	TimestampTz room_made;		/* when a worker was last ended to make room for a watchdog */

	/* What the running pass has found. */
	bool		keep[IU_MAX_WORKERS];	/* the slot's worker is wanted */
	bool		unwatched;		/* the server has no room for some watchdog */
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

/* Has the server start a process in a slot that has none. before: the slot as it was looked at. */
static void
start_worker(Launcher *launcher, int slot, const IuWorkerSlot *before, const IuVerdict *verdict)
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
	launcher->unwatched = launcher->unwatched || before->role == IU_WATCHDOG;
	iu_slot_state(slot, IU_NO_SLOT, launcher->trouble);
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
tend_slot(Launcher *launcher, int slot, const IuVerdict *verdict)
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
	/* It did not fail: it was ended because of what it called, and others wait for the next one. */
	if (now.overran)
		launcher->starts[slot].delay_ms = 0;
	due = not_before(launcher, slot, iu_now());
	if (due != 0)
		iu_bring_forward(&launcher->next, due);
	else
		start_worker(launcher, slot, &now, verdict);
}

/* Writes a verdict to the server log when it becomes so; the slot shows it as long as it lasts. */
static void
log_refusal(const char *database, int watchdog_slot, const IuVerdict *verdict)
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
serve_slot(Launcher *launcher, const IuVerdict *verdict, IuWorkerRole role, const char *database, int number)
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

/* Tends the slots of all workers of one role and number that the databases are to have. */
static void
serve_role(Launcher *launcher, const List *databases, IuWorkerRole role, int number)
{
	ListCell   *cell;

	foreach(cell, databases)
	{
		const IuWanted *wanted = lfirst(cell);

		serve_slot(launcher, &wanted->verdict, role, NameStr(wanted->name), number);
	}
}

/*
 * Where the server has not room for all, what closes gates comes first, then
 * what sends, first one sender of each database.
 */
static void
serve_databases(Launcher *launcher, const List *databases)
{
	int			number;

	serve_role(launcher, databases, IU_WATCHDOG, 0);
	for (number = 1; number <= iu_senders; number++)
		serve_role(launcher, databases, IU_SENDER, number);
	if (iu_senders > 0)
		serve_role(launcher, databases, IU_RUNNER, 0);
}

/* The process of a sender or runner that would be served last: the slot, or -1 for none. */
static int
last_served(void)
{
	int			last = -1;
	IuWorkerSlot chosen = {0};
	int			i;

	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		IuWorkerSlot slot;

		if (!iu_slot_read(i, &slot) || slot.pid == 0 || (slot.role != IU_SENDER && slot.role != IU_RUNNER))
			continue;
		if (last >= 0 && (chosen.role > slot.role || (chosen.role == slot.role && chosen.number > slot.number)))
			continue;
		last = i;
		chosen = slot;
	}
	return last;
}

/*
 * Some watchdog found no room: a worker that is served later makes some. The
 * server frees its place a moment after its end, so the next one has to leave
 * only where that has not helped for a while.
 */
static void
make_room(Launcher *launcher)
{
	TimestampTz now = iu_now();
	int			last = last_served();

	if (last < 0)
		return;
	iu_bring_forward(&launcher->next, iu_from_now(ROOM_RETRY_MS));
	if (launcher->room_made != 0 && !TimestampDifferenceExceeds(launcher->room_made, now, ROOM_MS))
		return;
	launcher->room_made = now;
	(void) iu_slot_retire(last);
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
	memset(launcher->keep, 0, sizeof(launcher->keep));
	launcher->keep[iu_worker_slot()] = true;
	launcher->trouble = NULL;
	launcher->unwatched = false;
	launcher->next = DT_NOEND;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	serve_databases(launcher, iu_wanted_databases());
	drop_unwanted(launcher);
	if (launcher->unwatched)
		make_room(launcher);
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
	iu_session_insist();
	SetConfigOption("application_name", MyBgworkerEntry->bgw_type, PGC_USERSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_IDLE, NULL);
	iu_worker_run(&launcher_kind, MemoryContextAllocZero(TopMemoryContext, sizeof(Launcher)));
}
