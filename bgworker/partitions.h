/*-------------------------------------------------------------------------
 *
 * partitions.h
 *	  The runner's duty to have partitions for the days to come.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_PARTITIONS_H
#define IU_PARTITIONS_H

#include "bgworker/worker.h"

extern ErrorData *iu_partitions_tend(TimestampTz *next_look);

#endif							/* IU_PARTITIONS_H */
