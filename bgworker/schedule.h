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

extern ErrorData *iu_schedule_turn(bool *begun, bool *exists, TimestampTz *next);

#endif							/* IU_SCHEDULE_H */
