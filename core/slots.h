/*-------------------------------------------------------------------------
 *
 * slots.h
 *	  Shared memory of iu_core: one slot for each worker process, with what the
 *	  process is doing and where its latch is. SQL functions show the slots, and
 *	  transactions wake workers through them (wake.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SLOTS_H
#define IU_SLOTS_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#define IU_MAX_WORKERS 256
#define IU_ERROR_LENGTH 1024

typedef enum IuWorkerRole
{
	IU_LAUNCHER,
	IU_WATCHDOG,
	IU_SENDER,
	IU_RUNNER
} IuWorkerRole;

#define IU_WORKER_ROLES (IU_RUNNER + 1)

/* What a worker counts. Keep iu_counter_names in slots.c in the same order. */
typedef enum IuCounter
{
	IU_COUNT_PASSES,
	IU_COUNT_ERRORS,			/* steps that failed */
	IU_COUNT_STARTED,			/* processes */
	IU_COUNT_CLOSED,			/* gates, as the next two */
	IU_COUNT_RENEWED,
	IU_COUNT_BLOCKED,			/* somebody else held the row of a gate that was due */
	IU_COUNT_CLAIMED,			/* deliveries, as the next two */
	IU_COUNT_SENT,
	IU_COUNT_FAILED
} IuCounter;

#define IU_COUNTERS (IU_COUNT_FAILED + 1)

/* Keep iu_worker_state_names in slots.c in the same order. */
typedef enum IuWorkerState
{
	IU_STARTING,				/* registered, not yet in its loop */
	IU_RUNNING,
	IU_FAILING,					/* runs, but its last pass failed: last_error */
	IU_STOPPED,					/* ended; last_error says why if it failed */
	IU_ROLE_MISSING,
	IU_ROLE_SUPERUSER,
	IU_ROLE_NOLOGIN,
	IU_DATABASE_MISSING,
	IU_EXTENSION_ABSENT,
	IU_NOTHING_MIGRATED,
	IU_NO_SLOT					/* no process: the server has no place for one */
} IuWorkerState;

typedef struct IuWorkerSlot
{
	bool		in_use;
	uint64		generation;		/* grows whenever the slot is given out or its process replaced */
	IuWorkerRole role;
	int			number;			/* of the sender within its database, from 1 */
	NameData	database;
	Oid			database_oid;	/* InvalidOid until known */
	Oid			worker_role;	/* as which the process connects */
	TimestampTz held_until;		/* not to be started before; 0: free to start */
	pid_t		pid;			/* 0: no process */
	Latch	   *latch;			/* of that process, valid while pid is set */
	IuWorkerState state;
	TimestampTz since;			/* of the state */
	TimestampTz last_tick;		/* 0: never */
	TimestampTz next_wakeup;	/* 0: sleeps until woken */

	/* By these others judge a watchdog that can no longer speak for itself; 0: nothing. */
	TimestampTz due_at;			/* when the first close is or was due that it knows of and has not done */
	TimestampTz busy_since;		/* when its pass began; 0: it sleeps */
	TimestampTz woken_at;		/* in a copy: when it was first woken since its last pass began */

	int64		counters[IU_COUNTERS];
	char		last_error[IU_ERROR_LENGTH];	/* empty: none */

	/* What its watchdog found: why the database is not at home where it is; empty: it is. */
	char		place_trouble[IU_ERROR_LENGTH];

	/* Of a runner: something that it called did not end by its time, so that the process was ended. */
	TimestampTz overran_at;		/* the last time; 0: never. Set in a signal handler */
	bool		overran;		/* the process that came after it has not seen to it yet */

	/* What a runner found of its database. */
	TimestampTz judged_at;		/* when it last compared what is governed with what is there; 0: never */
	int			differences;	/* how many it found */
	char		first_difference[IU_ERROR_LENGTH];
	char		alarm[IU_ERROR_LENGTH]; /* what is wrong with its gates; empty: nothing */
	char		warning[IU_ERROR_LENGTH];	/* what will be */
	char		partition_trouble[IU_ERROR_LENGTH]; /* what is wrong with partitions; empty: nothing */
	char		certificate_alarm[IU_ERROR_LENGTH]; /* what is wrong with certificates, and what will be */
	char		certificate_warning[IU_ERROR_LENGTH];
} IuWorkerSlot;

typedef struct IuShared
{
	int64		clock_base;		/* see clock.c; never changes */
	/* set once: the server has a place for the launcher; never in single-user mode */
	bool		launcher_registered;
	LWLock	   *lock;			/* of whose a slot is: see slots.c */
	IuWorkerSlot workers[IU_MAX_WORKERS];
	pg_atomic_uint32 changes[IU_MAX_WORKERS];	/* grows when a change of the slot begins, and when it ends */
	pg_atomic_uint64 woken_at[IU_MAX_WORKERS];
	pg_atomic_uint32 look_around[IU_MAX_WORKERS];	/* 1: woken for more than news */
	pg_atomic_uint32 waits[IU_MAX_WORKERS]; /* an IuWaits */
} IuShared;

/* Whether a sender, whose claim brought nothing, waits for another sender's claim to end. */
typedef enum IuWaits
{
	IU_WAITS_NOT,
	IU_WAITS,
	IU_WAITS_ALL_ROUTES			/* then it is to look at all of them */
} IuWaits;

extern const char *const iu_counter_names[IU_COUNTERS];

/* Which counters a role has: a bit (1 << counter) for each. */
extern const int iu_role_counters[IU_WORKER_ROLES];

extern const char *const iu_worker_role_names[IU_WORKER_ROLES];
extern const char *const iu_worker_state_names[];

/* NULL where the library was not preloaded: no workers, every gate closed. */
extern IuShared *iu_shared;

/* From _PG_init, while shared_preload_libraries is processed. */
extern void iu_slots_init(void);

/* ---- The launcher's side, and that of commands that need a database ---- */

extern int	iu_slot_obtain(IuWorkerRole role, const char *database, int number);
extern void iu_slot_release(int slot);
extern uint64 iu_slot_begin(int slot, Oid database, Oid worker_role);
extern bool iu_slot_retire(int slot);
extern int	iu_slots_hold(const char *database, TimestampTz until, pid_t *pids);

/* ---- The process's own side ---- */

extern bool iu_slot_attach(int slot, uint64 generation);
extern void iu_slot_begin_pass(int slot);
extern void iu_slot_tick(int slot, TimestampTz next_wakeup);
extern void iu_slot_due(int slot, TimestampTz due_at);
extern bool iu_slot_woken(int slot);
extern bool iu_slot_look_around(int slot);
extern void iu_slot_wait_for_others(int slot, IuWaits waits);
extern void iu_slot_count(int slot, IuCounter counter, int64 n);
extern void iu_slot_place_trouble(int slot, const char *trouble);
extern void iu_slot_gate_troubles(int slot, const char *alarm, const char *warning);
extern void iu_slot_partition_trouble(int slot, const char *trouble);
extern void iu_slot_certificate_troubles(int slot, const char *alarm, const char *warning);
extern void iu_slot_overran(int slot);
extern bool iu_slot_take_overrun(int slot);
extern void iu_slot_judged(int slot, int differences, const char *first);

/* ---- Either side, and readers ---- */

extern IuWorkerSlot *iu_slot_begin_change(int slot);
extern void iu_slot_end_change(int slot);
extern void iu_slot_state(int slot, IuWorkerState state, const char *error);
extern bool iu_slot_read(int slot, IuWorkerSlot *copy);

/* Roles of workers as bits, for those that are to be woken. */
#define IU_WAKE(role) (1 << (role))
#define IU_WAKE_DELIVERY (IU_WAKE(IU_SENDER) | IU_WAKE(IU_RUNNER))
/* Senders and runners, for events that were written and nothing else: see iu_slot_look_around. */
#define IU_WAKE_NEWS (1 << IU_WORKER_ROLES)
/* Senders that wait for another sender's claim to end: see iu_slot_wait_for_others. */
#define IU_WAKE_WAITING (1 << (IU_WORKER_ROLES + 1))
#define IU_WAKE_ALL (IU_WAKE(IU_LAUNCHER) | IU_WAKE(IU_WATCHDOG) | IU_WAKE_DELIVERY)

extern void iu_slots_wake(int roles, Oid database);

#endif							/* IU_SLOTS_H */
