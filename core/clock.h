/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  A clock that nobody sets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CLOCK_H
#define IU_CLOCK_H

#include "datatype/timestamp.h"

extern int64 iu_clock_ms(void);
extern TimestampTz iu_now(void);
extern int64 iu_clock_moved(void);
extern TimestampTz iu_steady_of(TimestampTz wall);
extern TimestampTz iu_wall_of(TimestampTz steady);

/* While the shared memory is set up. */
extern void iu_clock_share(int64 *base, bool first);

#endif							/* IU_CLOCK_H */
