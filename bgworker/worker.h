/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  What the worker processes share: their start, tasks that may fail without
 *	  ending the process, and what they show in their slots. loop.h has their
 *	  loop.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_WORKER_H
#define IU_WORKER_H

#include "core/slots.h"

/* ---- Start ---- */

extern bool iu_worker_attach(int slot, uint64 generation);
extern void iu_worker_begin(Datum main_arg, const char *lock_timeout);

extern int	iu_worker_slot(void);

/* ---- Tasks ---- */

/* Something that may raise. */
typedef void (*IuTask) (void *argument);

extern ErrorData *iu_worker_try(IuTask task, void *argument);
extern ErrorData *iu_worker_transact(const char *activity, IuTask task, void *argument);
extern void iu_commit_without_flush(void);
extern void iu_worker_absorb(void);

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
extern void iu_worker_tick(void);
extern bool iu_worker_shows_ready(void);
extern void iu_worker_show_ready(void);

/* ---- Time, all of it by the steady clock (core/clock.h) ---- */

extern TimestampTz iu_from_now(int ms);
extern bool iu_is_past(TimestampTz when);
extern void iu_bring_forward(TimestampTz *next, TimestampTz when);

/* A worker looks around at least so often, should nobody wake it. */
#define IU_LONGEST_SLEEP_MS 60000

#endif							/* IU_WORKER_H */
