/*-------------------------------------------------------------------------
 *
 * conformance.h
 *	  The runner's look at whether the database is as its migrations made it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CONFORMANCE_H
#define IU_CONFORMANCE_H

#include "bgworker/worker.h"

typedef struct IuConformanceWatch
{
	TimestampTz next_look;
	bool		suspects;		/* the last look found differences, and the one before did not */
	bool		differs;		/* what the slot says */
} IuConformanceWatch;

extern ErrorData *iu_conformance_look(IuConformanceWatch *watch);

#endif							/* IU_CONFORMANCE_H */
