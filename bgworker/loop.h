/*-------------------------------------------------------------------------
 *
 * loop.h
 *	  The loop of every worker process, and the duties that it performs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_LOOP_H
#define IU_LOOP_H

#include "bgworker/worker.h"
#include "core/compat.h"

/*
 * In which passes a duty is performed. A pass begins when some duty is due, and
 * whenever somebody wakes the worker.
 */
typedef enum IuDutyMode
{
	IU_WHEN_DUE,				/* those that find it due, and not waiting after a failure */
	IU_EACH_PASS,				/* those that find it not waiting after a failure */
	IU_EACH_PASS_ALWAYS			/* all: a wake may tell of what it lacked when it failed */
} IuDutyMode;

/* Something that a worker does again and again. */
typedef struct IuDuty
{
	IuDutyMode	mode;

	/* When a pass is to begin for it at the latest, by the steady clock; DT_NOEND: none is. */
	TimestampTz (*due) (void *worker);

	/* Does it. Returns NULL, or the error that it failed with, which the loop reports. */
	ErrorData  *(*perform) (void *worker);

	/* How long it waits after a failure: at first, and at most. */
	int			first_retry_ms;
	int			last_retry_ms;
} IuDuty;

#define IU_MAX_DUTIES 8

/* A kind of worker. Its functions and those of its duties get the worker that iu_worker_run was given. */
typedef struct IuWorkerKind
{
	const char *wait_event;		/* what PostgreSQL 17 and later show while the worker sleeps */
	const IuDuty *duties;		/* performed in this order */
	int			duty_count;
	int			rest_ms;		/* the shortest sleep where no duty is due at once, even if woken */
	bool		minds_clock;	/* wakes all workers of its database when somebody sets the clock */

	/* Called when somebody has woken the worker. NULL: the pass that follows is all that is needed. */
	void		(*woken) (void *worker);

	/* Whether it failed at something that waits to be tried again, beside the duties themselves. NULL: never. */
	bool		(*troubled) (void *worker);

	/* Sleeps until that time (DT_NOEND: without limit) or the latch is set. NULL: the loop does. */
	void		(*sleep) (void *worker, TimestampTz until);
} IuWorkerKind;

pg_noreturn extern void iu_worker_run(const IuWorkerKind *kind, void *worker);

#endif							/* IU_LOOP_H */
