/*-------------------------------------------------------------------------
 *
 * deadline.h
 *	  An end to a part of what a statement does, by a clock that nobody sets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DEADLINE_H
#define IU_DEADLINE_H

#include "postgres.h"

#include <signal.h>
#include <time.h>

/*
 * One for each kind of thing that is limited. A static variable of who limits it:
 * {.clock = CLOCK_MONOTONIC} for the time that passes, CLOCK_THREAD_CPUTIME_ID for
 * the time that the processor has.
 */
typedef struct IuDeadline
{
	clockid_t	clock;
	bool		created;
	timer_t		timer;
	struct IuDeadline *outer;	/* the one that was running already */
	volatile sig_atomic_t running;	/* otherwise its end comes too late to matter */
	volatile sig_atomic_t late;
	volatile sig_atomic_t cancelled;	/* by somebody else, a timeout of the statement among them */
} IuDeadline;

extern void iu_deadline_begin(IuDeadline *deadline, int ms);
extern bool iu_deadline_end(IuDeadline *deadline);

#endif
