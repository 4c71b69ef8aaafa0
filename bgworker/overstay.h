/*-------------------------------------------------------------------------
 *
 * overstay.h
 *	  How long the openings of gates have been seen, by a clock that nobody sets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_OVERSTAY_H
#define IU_OVERSTAY_H

#include "utils/hsearch.h"

/* What a watchdog remembers of the openings that it sees. All zero: nothing yet. */
typedef struct IuOverstay
{
	HTAB	   *openings;		/* NULL: none was seen */
	uint64		look;			/* grows with each look */
} IuOverstay;

extern void iu_overstay_begin_look(IuOverstay *overstay);
extern int64 iu_overstay_left(IuOverstay *overstay, int64 opening, int64 lasts_ms);
extern void iu_overstay_end_look(IuOverstay *overstay);

#endif							/* IU_OVERSTAY_H */
