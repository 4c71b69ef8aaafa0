/*-------------------------------------------------------------------------
 *
 * slots.c
 *	  The worker slots in shared memory: given out, taken by a process, read by
 *	  others. What a process says of itself in its slot is in own_slot.c.
 *
 * A slot outlives its process. What the last process said, and why it ended,
 * stays readable until the launcher gives the slot up. Every time in a slot is
 * of the steady clock (clock.c).
 *
 * The lock is for whose a slot is: for the launcher, for commands that need a
 * database to themselves, and for a process that starts or ends. Who works, reads
 * or wakes takes none, so that a process that was stopped while it held the lock
 * keeps nobody from that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "core/clock.h"
#include "core/compat.h"
#include "core/registration.h"
#include "core/slots.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

IuShared   *iu_shared = NULL;

const char *const iu_worker_role_names[IU_WORKER_ROLES] = {"launcher", "watchdog", "sender", "runner"};

const char *const iu_counter_names[IU_COUNTERS] = {
	"passes", "errors", "started", "closed", "renewed", "blocked", "claimed", "sent", "failed"
};

#define BIT(counter) (1 << (counter))
#define DELIVERY_COUNTERS \
	(BIT(IU_COUNT_PASSES) | BIT(IU_COUNT_ERRORS) | BIT(IU_COUNT_CLAIMED) | BIT(IU_COUNT_SENT) | BIT(IU_COUNT_FAILED))

const int	iu_role_counters[IU_WORKER_ROLES] = {
	[IU_LAUNCHER] = BIT(IU_COUNT_PASSES) | BIT(IU_COUNT_STARTED),
	[IU_WATCHDOG] = BIT(IU_COUNT_PASSES) | BIT(IU_COUNT_ERRORS) | BIT(IU_COUNT_CLOSED) | BIT(IU_COUNT_RENEWED) |
		BIT(IU_COUNT_BLOCKED),
	[IU_SENDER] = DELIVERY_COUNTERS,
	[IU_RUNNER] = DELIVERY_COUNTERS,
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
	"no worker slot",
};

typedef struct Hooks
{
	shmem_request_hook_type request;
	shmem_startup_hook_type startup;
} Hooks;

#define READ_TRIES 100			/* so many milliseconds a reader waits for who changes a slot */

/* Of whoever was loaded before. */
static Hooks previous;

static void
request_shared_memory(void)
{
	if (previous.request)
		previous.request();
	RequestAddinShmemSpace(MAXALIGN(sizeof(IuShared)));
	RequestNamedLWLockTranche("iu_core", 1);
}

static void
start_shared_memory(void)
{
	bool		found;

	if (previous.startup)
		previous.startup();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	iu_shared = ShmemInitStruct("iu_core", sizeof(IuShared), &found);
	if (!found)
	{
		int			i;

		memset(iu_shared, 0, sizeof(IuShared));
		for (i = 0; i < IU_MAX_WORKERS; i++)
		{
			pg_atomic_init_u64(&iu_shared->woken_at[i], 0);
			pg_atomic_init_u32(&iu_shared->look_around[i], 0);
			pg_atomic_init_u32(&iu_shared->waits[i], 0);
			pg_atomic_init_u32(&iu_shared->changes[i], 0);
		}
		iu_shared->launcher_registered = IsPostmasterEnvironment && iu_launcher_is_registered();
		iu_shared->lock = &GetNamedLWLockTranche("iu_core")->lock;
	}
	iu_clock_share(&iu_shared->clock_base, !found);
	LWLockRelease(AddinShmemInitLock);
}

/* Called once, in the postmaster: asks for the shared memory, and sets it up when there is some. */
void
iu_slots_init(void)
{
	previous.request = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	previous.startup = shmem_startup_hook;
	shmem_startup_hook = start_shared_memory;
}

/*
 * Before and after a change of a slot that readers must not see half of. Nothing
 * between the two may raise. Where two processes change a slot at once, which
 * concerns different fields, readers may see half of either.
 */
IuWorkerSlot *
iu_slot_begin_change(int slot)
{
	pg_atomic_fetch_add_u32(&iu_shared->changes[slot], 1);
	return &iu_shared->workers[slot];
}

void
iu_slot_end_change(int slot)
{
	pg_atomic_fetch_add_u32(&iu_shared->changes[slot], 1);
}

/* Under the lock. */
static void
give_out(int number_of_slot, IuWorkerRole role, const char *database, int number)
{
	IuWorkerSlot *slot = iu_slot_begin_change(number_of_slot);
	uint64		generation = slot->generation + 1;

	memset(slot, 0, sizeof(IuWorkerSlot));
	slot->in_use = true;
	slot->generation = generation;
	slot->role = role;
	slot->number = number;
	namestrcpy(&slot->database, database);
	slot->state = IU_STARTING;
	slot->since = iu_now();
	iu_slot_end_change(number_of_slot);
}

/* Under the lock. The slot of this role, database and number; -1: none. */
static int
find_slot(IuWorkerRole role, const char *database, int number)
{
	int			i;

	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		const IuWorkerSlot *slot = &iu_shared->workers[i];

		if (slot->in_use && slot->role == role && slot->number == number &&
			strcmp(NameStr(slot->database), database) == 0)
			return i;
	}
	return -1;
}

/* Under the lock. A slot that is not given out; -1: none. */
static int
find_unused_slot(void)
{
	int			i;

	for (i = 0; i < IU_MAX_WORKERS; i++)
		if (!iu_shared->workers[i].in_use)
			return i;
	return -1;
}

/*
 * The slot of this role, database and number, which is given out if there is
 * none; -1 when all are taken. database: empty for the launcher. number: of a
 * sender within its database, from 1; 0 for the others.
 */
int
iu_slot_obtain(IuWorkerRole role, const char *database, int number)
{
	int			slot;

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	slot = find_slot(role, database, number);
	if (slot < 0)
	{
		slot = find_unused_slot();
		if (slot >= 0)
			give_out(slot, role, database, number);
	}
	LWLockRelease(iu_shared->lock);
	return slot;
}

/* Gives a slot up. Its process has ended. */
void
iu_slot_release(int slot)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	iu_shared->workers[slot].in_use = false;
	LWLockRelease(iu_shared->lock);
}

/*
 * Prepares a slot for a new process. Returns the generation, by which the
 * process shows that the slot is still meant for it; 0: the slot has a process,
 * or is held. database, worker_role: to which and as whom the process connects.
 */
uint64
iu_slot_begin(int slot, Oid database, Oid worker_role)
{
	IuWorkerSlot *worker = &iu_shared->workers[slot];
	TimestampTz now = iu_now();
	uint64		generation = 0;

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	if (worker->pid == 0 && worker->held_until <= now)
	{
		iu_slot_begin_change(slot);
		generation = ++worker->generation;
		worker->database_oid = database;
		worker->worker_role = worker_role;
		worker->state = IU_STARTING;
		worker->since = now;
		worker->due_at = worker->busy_since = 0;
		iu_slot_end_change(slot);
		pg_atomic_write_u64(&iu_shared->woken_at[slot], 0);
	}
	LWLockRelease(iu_shared->lock);
	return generation;
}

/*
 * The caller holds the lock, so that the pid is no other process's: a process
 * takes its pid out of the slot before it ends.
 */
static void
retire_locked(IuWorkerSlot *worker)
{
	if (worker->pid != 0)
		kill(worker->pid, SIGTERM);
	else
		worker->generation++;
}

/*
 * Asks the process of a slot to leave. One that has not attached yet will not
 * attach any more. Returns whether the slot has no process, and will have none.
 */
bool
iu_slot_retire(int slot)
{
	bool		empty;

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	empty = iu_shared->workers[slot].pid == 0;
	retire_locked(&iu_shared->workers[slot]);
	LWLockRelease(iu_shared->lock);
	return empty;
}

/*
 * Retires every process of a database and has none started before that time; 0
 * lifts the hold. The pids of the processes that are still there go into pids,
 * which has room for IU_MAX_WORKERS. Returns how many, or -1 where the database
 * has no slots.
 */
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

/* The time of the first wake is kept: later ones do not make it look younger. */
static void
note_wake(int slot)
{
	uint64		none = 0;

	pg_atomic_compare_exchange_u64(&iu_shared->woken_at[slot], &none, (uint64) iu_now());
}

/* Whether a wake with these bits is for a worker; *look_around: for more than news. */
static bool
is_meant(int number, int roles, Oid database, bool *look_around)
{
	const IuWorkerSlot *slot = &iu_shared->workers[number];
	bool		news = (roles & IU_WAKE_NEWS) != 0 && (slot->role == IU_SENDER || slot->role == IU_RUNNER);
	IuWaits		waits = (roles & IU_WAKE_WAITING) != 0 ? pg_atomic_read_u32(&iu_shared->waits[number]) : IU_WAITS_NOT;

	*look_around = (roles & IU_WAKE(slot->role)) != 0 || waits == IU_WAITS_ALL_ROUTES;
	if (!slot->in_use || slot->pid == 0 || (!news && !*look_around && waits == IU_WAITS_NOT))
		return false;
	return !OidIsValid(database) || slot->role == IU_LAUNCHER || slot->database_oid == database;
}

/*
 * Sets the latches of the workers of these roles (bits of IU_WAKE), of one
 * database or, with InvalidOid, of all. Raises nothing.
 *
 * Takes no lock: sessions that commit come here, and must not wait for a worker
 * that was stopped while it held one. A slot that changes meanwhile is woken in
 * vain, which does no harm, or its process has yet to look at everything.
 */
void
iu_slots_wake(int roles, Oid database)
{
	int			i;

	if (iu_shared == NULL)
		return;

	/* What was committed comes first, as in iu_slot_attach the latch comes before the look. */
	pg_memory_barrier();
	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		Latch	   *latch = *(Latch *volatile *) &iu_shared->workers[i].latch;
		bool		look_around;

		if (latch == NULL || !is_meant(i, roles, database, &look_around))
			continue;
		if (look_around)
			pg_atomic_write_u32(&iu_shared->look_around[i], 1);
		note_wake(i);
		SetLatch(latch);
	}
}

/*
 * At the exit of the process, when nothing may raise. Leaves a slot alone that is
 * another process's by now. The launcher is woken, to start another.
 */
static void
detach_slot(int code, Datum arg)
{
	IuWorkerSlot *slot = &iu_shared->workers[DatumGetInt32(arg)];

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	if (slot->in_use && slot->pid == MyProcPid)
	{
		iu_slot_begin_change(DatumGetInt32(arg));
		slot->pid = 0;
		slot->latch = NULL;
		slot->next_wakeup = 0;
		slot->state = IU_STOPPED;
		slot->since = iu_now();
		iu_slot_end_change(DatumGetInt32(arg));
	}
	LWLockRelease(iu_shared->lock);
	iu_slots_wake(IU_WAKE(IU_LAUNCHER), InvalidOid);
}

/*
 * Makes the slot be this process's, with its pid and latch, until the process
 * exits. False for a process that came too late, whose generation is another's
 * by now: it must leave.
 */
bool
iu_slot_attach(int slot, uint64 generation)
{
	IuWorkerSlot *worker = &iu_shared->workers[slot];
	bool		mine;

	/* First, because it can fail, and a slot that is taken must be given back. */
	before_shmem_exit(detach_slot, Int32GetDatum(slot));
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	mine = worker->in_use && worker->pid == 0 && worker->generation == generation;
	if (mine)
	{
		iu_slot_begin_change(slot);
		worker->pid = MyProcPid;
		worker->latch = MyLatch;
		iu_slot_end_change(slot);
	}
	LWLockRelease(iu_shared->lock);
	return mine;
}

/* Whether a slot was copied while nobody changed it. */
static bool
copy_slot(int slot, IuWorkerSlot *copy)
{
	uint32		before = pg_atomic_read_u32(&iu_shared->changes[slot]);

	pg_read_barrier();
	*copy = iu_shared->workers[slot];
	copy->woken_at = (TimestampTz) pg_atomic_read_u64(&iu_shared->woken_at[slot]);
	pg_read_barrier();
	return before % 2 == 0 && pg_atomic_read_u32(&iu_shared->changes[slot]) == before;
}

/*
 * Copies a slot. False if it is given to nobody.
 *
 * Takes no lock and waits for nobody who stands still: of a process that was
 * stopped in the middle of a change, what is there is copied as it is.
 */
bool
iu_slot_read(int slot, IuWorkerSlot *copy)
{
	int			tries = 0;

	while (!copy_slot(slot, copy) && ++tries < READ_TRIES)
		pg_usleep(1000L);
	return copy->in_use;
}
