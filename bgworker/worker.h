/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  What the worker processes share: their start, their loop, and tasks that
 *	  may fail without ending the process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_WORKER_H
#define IU_WORKER_H

#include "core/compat.h"
#include "core/slots.h"

/* ---- Start ---- */

extern bool iu_worker_attach(int slot, uint64 generation);
extern void iu_worker_begin(Datum main_arg, const char *lock_timeout);

/* The slot of this process. */
extern int	iu_worker_slot(void);

/* ---- Tasks ---- */

typedef void (*IuTask) (void *argument);

extern ErrorData *iu_worker_try(IuTask task, void *argument);
extern ErrorData *iu_worker_transact(const char *activity, IuTask task, void *argument);
extern void iu_commit_without_flush(void);

/* How long to wait before something that failed is tried again: longer after each failure. */
typedef struct IuBackoff
{
	int			delay_ms;		/* 0: it has not failed since it last succeeded */
	TimestampTz not_before;
} IuBackoff;

extern void iu_backoff_grow(IuBackoff *backoff, int first_ms, int limit_ms);
extern void iu_backoff_clear(IuBackoff *backoff);

/* Between attempts of what needs the database, unless a worker has reasons for others. */
#define IU_FIRST_RETRY_MS 100
#define IU_LAST_RETRY_MS 5000

/* ---- What a worker shows in its slot ---- */

extern void iu_worker_count(IuCounter counter, int64 n);
extern void iu_worker_ready(IuWorkerState state);
extern void iu_worker_report(ErrorData *error);
extern void iu_worker_failed(ErrorData *error, IuBackoff *backoff, int first_ms, int limit_ms);
extern ErrorData *iu_worker_error(int sqlstate, char *message);

/* ---- The loop ---- */

/* When a duty is performed. */
typedef enum IuDutyMode
{
	IU_WHEN_DUE,				/* in each pass that finds it due, unless it failed just now */
	IU_EACH_PASS,				/* in each pass, unless it failed just now */
	IU_EACH_PASS_AT_ALL			/* in each pass, so that a wake has it tried again at once */
} IuDutyMode;

/* Something that a worker does again and again. */
typedef struct IuDuty
{
	IuDutyMode	mode;

	/* The time at which the worker is to wake up for it; DT_NOEND: for something else. */
	TimestampTz (*due) (void *worker);

	/* Does it. NULL, or the error, which is then reported; it is tried again after a while. */
	ErrorData  *(*perform) (void *worker);

	/* How long that while is at first, and at most. */
	int			first_retry_ms;
	int			last_retry_ms;
} IuDuty;

#define IU_MAX_DUTIES 8

/* What makes a watchdog a watchdog. The worker that is passed on is the one of iu_worker_run. */
typedef struct IuWorkerKind
{
	const char *wait_event;		/* as 17 and later show it while the worker sleeps */
	const IuDuty *duties;		/* performed in this order */
	int			duty_count;
	int			rest_ms;		/* at least, between passes that leave nothing to do at once */

	/* Somebody woke the worker. NULL: then a new pass is all that is wanted. */
	void		(*woken) (void *worker);

	/* Whether something failed that no duty has returned as its error, and waits to be tried again. NULL: never. */
	bool		(*troubled) (void *worker);

	/* Sleeps until that time (DT_NOEND: without limit) or the latch is set. NULL: iu_worker_sleep. */
	void		(*sleep) (void *worker, TimestampTz until);
} IuWorkerKind;

pg_noreturn extern void iu_worker_run(const IuWorkerKind *kind, void *worker);

/* For duties that take long: between their parts, outside of transactions. */
extern void iu_worker_absorb(void);
extern void iu_worker_tick(void);

/* ---- Time ---- */

extern TimestampTz iu_from_now(int ms);
extern bool iu_is_past(TimestampTz when);
extern void iu_bring_forward(TimestampTz *next, TimestampTz when);

/* A worker looks around at least so often, should nobody wake it. */
#define IU_LONGEST_SLEEP_MS 60000

#endif							/* IU_WORKER_H */
