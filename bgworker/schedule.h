/*-------------------------------------------------------------------------
 *
 * schedule.h
 *	  The runner's turn at what the policy has on a schedule.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SCHEDULE_H
#define IU_SCHEDULE_H

#include "bgworker/worker.h"

/*
 * Whether the policy has a schedule, then one thing that is due on it, in a
 * transaction of its own; *next is when to come again (DT_NOEND: when woken).
 * The error of a turn that failed, or NULL.
 */
extern ErrorData *iu_schedule_turn(bool *exists, TimestampTz *next);

#endif							/* IU_SCHEDULE_H */
