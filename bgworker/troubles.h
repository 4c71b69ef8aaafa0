/*-------------------------------------------------------------------------
 *
 * troubles.h
 *	  The runner's look at whether the gates stand as people mean them to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_TROUBLES_H
#define IU_TROUBLES_H

#include "bgworker/worker.h"

extern ErrorData *iu_troubles_look(TimestampTz *next_look);

#endif							/* IU_TROUBLES_H */
