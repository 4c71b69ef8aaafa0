/*-------------------------------------------------------------------------
 *
 * status.c
 *	  The worker slots in shared memory, and iu_core.worker_status over them.
 *
 * A slot outlives its process: what the last process said, and why it ended,
 * stays readable until the launcher gives the slot up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xlog.h"
#include "core/compat.h"
#include "core/health.h"
#include "core/status.h"
#include "core/wake.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_worker_status);
PG_FUNCTION_INFO_V1(iu_is_preloaded);

IuShared   *iu_shared = NULL;

const char *const iu_worker_role_names[IU_WORKER_ROLES] = {"launcher", "watchdog", "sender"};

const char *const iu_counter_names[IU_WORKER_ROLES][IU_COUNTERS + 1] = {
	{"passes", "started", NULL},
	{"passes", "closed", "blocked", "errors", "renewed", NULL},
	{"passes", "claimed", "sent", "failed", "errors", NULL},
};

const char *const iu_worker_state_names[] = {
	"starting",
	"running",
	"failing",
	"stopped",
	"role missing",
	"role is superuser",
	"role cannot log in",
	"database missing",
	"extension absent",
	"nothing migrated",
};

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void
request_shared_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(IuShared)));
	RequestNamedLWLockTranche("iu_core", 1);
}

static void
start_shared_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	iu_shared = ShmemInitStruct("iu_core", sizeof(IuShared), &found);
	if (!found)
	{
		int			i;

		memset(iu_shared, 0, sizeof(IuShared));
		for (i = 0; i < IU_MAX_WORKERS; i++)
			pg_atomic_init_u64(&iu_shared->woken_at[i], 0);
		iu_shared->lock = &GetNamedLWLockTranche("iu_core")->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

void
iu_status_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shared_memory;
}

int
iu_slot_obtain(IuWorkerRole role, const char *database, int number)
{
	int			unused = -1;
	int			i;
	IuWorkerSlot *slot;

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		slot = &iu_shared->workers[i];
		if (!slot->in_use)
		{
			if (unused < 0)
				unused = i;
			continue;
		}
		if (slot->role == role && slot->number == number &&
			strcmp(NameStr(slot->database), database) == 0)
		{
			LWLockRelease(iu_shared->lock);
			return i;
		}
	}
	if (unused >= 0)
	{
		uint64		generation;

		slot = &iu_shared->workers[unused];
		generation = slot->generation + 1;
		memset(slot, 0, sizeof(IuWorkerSlot));
		slot->in_use = true;
		slot->generation = generation;
		slot->role = role;
		slot->number = number;
		namestrcpy(&slot->database, database);
		slot->state = IU_STARTING;
		slot->since = GetCurrentTimestamp();
	}
	LWLockRelease(iu_shared->lock);
	return unused;
}

void
iu_slot_release(int slot)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	iu_shared->workers[slot].in_use = false;
	LWLockRelease(iu_shared->lock);
}

uint64
iu_slot_begin(int slot, Oid database, Oid worker_role)
{
	IuWorkerSlot *worker = &iu_shared->workers[slot];
	TimestampTz now = GetCurrentTimestamp();
	uint64		generation = 0;

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	if (worker->pid == 0 && worker->held_until <= now)
	{
		generation = ++worker->generation;
		worker->database_oid = database;
		worker->worker_role = worker_role;
		worker->state = IU_STARTING;
		worker->since = now;
		worker->due_at = worker->busy_since = 0;
		pg_atomic_write_u64(&iu_shared->woken_at[slot], 0);
	}
	LWLockRelease(iu_shared->lock);
	return generation;
}

/*
 * Under the lock, so that the pid is no other process's: it is taken back
 * before its process ends.
 */
static void
retire_locked(IuWorkerSlot *worker)
{
	if (worker->pid != 0)
		kill(worker->pid, SIGTERM);
	else
		worker->generation++;
}

void
iu_slot_retire(int slot)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	retire_locked(&iu_shared->workers[slot]);
	LWLockRelease(iu_shared->lock);
}

int
iu_slots_hold(const char *database, TimestampTz until, pid_t *pids)
{
	int			present = 0;
	bool		served = false;
	int			i;

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		IuWorkerSlot *worker = &iu_shared->workers[i];

		if (!worker->in_use || worker->role == IU_LAUNCHER ||
			strcmp(NameStr(worker->database), database) != 0)
			continue;
		served = true;
		worker->held_until = until;
		if (until == 0)
			continue;
		if (worker->pid != 0)
			pids[present++] = worker->pid;
		retire_locked(worker);
	}
	LWLockRelease(iu_shared->lock);
	return served ? present : -1;
}

static void
detach_slot(int code, Datum arg)
{
	IuWorkerSlot *slot = &iu_shared->workers[DatumGetInt32(arg)];

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	if (slot->in_use && slot->pid == MyProcPid)
	{
		slot->pid = 0;
		slot->latch = NULL;
		slot->next_wakeup = 0;
		slot->state = IU_STOPPED;
		slot->since = GetCurrentTimestamp();
	}
	LWLockRelease(iu_shared->lock);
	iu_wake_now(IU_WAKE(IU_LAUNCHER), InvalidOid);
}

bool
iu_slot_attach(int slot, uint64 generation)
{
	IuWorkerSlot *worker = &iu_shared->workers[slot];
	bool		mine;

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	mine = worker->in_use && worker->pid == 0 && worker->generation == generation;
	if (mine)
	{
		worker->pid = MyProcPid;
		worker->latch = MyLatch;
	}
	LWLockRelease(iu_shared->lock);
	if (mine)
		before_shmem_exit(detach_slot, Int32GetDatum(slot));
	return mine;
}

void
iu_slot_tick(int slot, TimestampTz next_wakeup)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	iu_shared->workers[slot].last_tick = GetCurrentTimestamp();
	iu_shared->workers[slot].next_wakeup = next_wakeup;
	iu_shared->workers[slot].busy_since = 0;
	iu_shared->workers[slot].counters[0]++;
	LWLockRelease(iu_shared->lock);
}

void
iu_slot_begin_pass(int slot)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	iu_shared->workers[slot].busy_since = GetCurrentTimestamp();
	pg_atomic_write_u64(&iu_shared->woken_at[slot], 0);
	LWLockRelease(iu_shared->lock);
}

void
iu_slot_due(int slot, TimestampTz due_at)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	iu_shared->workers[slot].due_at = due_at;
	LWLockRelease(iu_shared->lock);
}

/* The first call counts: later ones do not make it younger. */
void
iu_slot_woken(int slot)
{
	uint64		none = 0;

	pg_atomic_compare_exchange_u64(&iu_shared->woken_at[slot], &none, (uint64) GetCurrentTimestamp());
}

void
iu_slot_count(int slot, int counter, int64 n)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	iu_shared->workers[slot].counters[counter] += n;
	LWLockRelease(iu_shared->lock);
}

void
iu_slot_state(int slot, IuWorkerState state, const char *error)
{
	IuWorkerSlot *worker = &iu_shared->workers[slot];

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	if (worker->state != state)
	{
		worker->state = state;
		worker->since = GetCurrentTimestamp();
	}
	if (error != NULL)
	{
		size_t		length = strcspn(error, "\n");

		length = pg_mbcliplen(error, length, IU_ERROR_LENGTH - 1);
		memcpy(worker->last_error, error, length);
		worker->last_error[length] = '\0';
	}
	LWLockRelease(iu_shared->lock);
}

bool
iu_slot_read(int slot, IuWorkerSlot *copy)
{
	LWLockAcquire(iu_shared->lock, LW_SHARED);
	*copy = iu_shared->workers[slot];
	copy->woken_at = (TimestampTz) pg_atomic_read_u64(&iu_shared->woken_at[slot]);
	LWLockRelease(iu_shared->lock);
	return copy->in_use;
}

Datum
iu_is_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(iu_shared != NULL);
}

static Datum
counters_as_jsonb(const IuWorkerSlot *slot)
{
	StringInfoData json;
	int			i;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (i = 0; iu_counter_names[slot->role][i] != NULL; i++)
	{
		if (i > 0)
			appendStringInfoChar(&json, ',');
		escape_json(&json, iu_counter_names[slot->role][i]);
		appendStringInfo(&json, ":" INT64_FORMAT, slot->counters[i]);
	}
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/*
 * What another process wrote may be in another database's encoding, or, by the
 * launcher, which knows none, have been cut within a character.
 */
char *
iu_readable(const char *string)
{
	char	   *copy = pstrdup(string);
	char	   *p;

	if (!pg_verifymbstr(copy, strlen(copy), true))
		for (p = copy; *p != '\0'; p++)
			if (IS_HIGHBIT_SET(*p))
				*p = '?';
	return copy;
}

static void
put_slot(ReturnSetInfo *result, const IuWorkerSlot *slot)
{
	Datum		values[10];
	bool		nulls[10] = {false};
	char	   *why = iu_readable(slot->last_error);
	TimestampTz overdue = iu_overdue_since(slot, GetCurrentTimestamp(), &why);

	/* What it last said of itself says more than what we make of its silence. */
	if (slot->last_error[0] != '\0')
		why = iu_readable(slot->last_error);
	values[0] = CStringGetTextDatum(iu_readable(NameStr(slot->database)));
	nulls[0] = NameStr(slot->database)[0] == '\0';
	values[1] = CStringGetTextDatum(iu_worker_role_names[slot->role]);
	values[2] = Int32GetDatum(slot->number);
	nulls[2] = slot->role != IU_SENDER;
	values[3] = Int32GetDatum(slot->pid);
	nulls[3] = slot->pid == 0;
	values[4] = CStringGetTextDatum(overdue != 0 ? "overdue" : iu_worker_state_names[slot->state]);
	values[5] = TimestampTzGetDatum(overdue != 0 ? overdue : slot->since);
	values[6] = TimestampTzGetDatum(slot->last_tick);
	nulls[6] = slot->last_tick == 0;
	values[7] = TimestampTzGetDatum(slot->next_wakeup);
	nulls[7] = slot->next_wakeup == 0;
	values[8] = counters_as_jsonb(slot);
	values[9] = CStringGetTextDatum(why);
	nulls[9] = why[0] == '\0';
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* One row that says why there are no workers at all. */
static void
put_absence(ReturnSetInfo *result, const char *state, const char *why)
{
	Datum		values[10] = {0};
	bool		nulls[10] = {true, false, true, true, false, true, true, true, true, false};

	values[1] = CStringGetTextDatum(iu_worker_role_names[IU_LAUNCHER]);
	values[4] = CStringGetTextDatum(state);
	values[9] = CStringGetTextDatum(why);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
iu_worker_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	IuWorkerSlot slot;
	bool		any = false;
	int			i;

	InitMaterializedSRF(fcinfo, 0);

	if (iu_shared == NULL)
	{
		put_absence(result, "not preloaded",
					"iu_core is not in shared_preload_libraries: no worker runs and every gate reads closed; add it and restart the server");
		return (Datum) 0;
	}
	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		if (!iu_slot_read(i, &slot))
			continue;
		any = true;
		put_slot(result, &slot);
	}
	if (!any)
		put_absence(result, RecoveryInProgress() ? "standby" : "starting",
					RecoveryInProgress()
					? "this server is a standby: the workers start when it is promoted"
					: "the launcher has not started yet");
	return (Datum) 0;
}
