/*-------------------------------------------------------------------------
 *
 * drain.h
 *	  How a process that is to end gets the time to finish what it has begun.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DRAIN_H
#define IU_DRAIN_H

#include "core/compat.h"

extern void iu_drain_prepare(void);
extern bool iu_drain_asked(void);
extern int64 iu_drain_end(void);
pg_noreturn extern void iu_drain_leave(void);

#endif							/* IU_DRAIN_H */
