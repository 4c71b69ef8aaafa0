/*-------------------------------------------------------------------------
 *
 * patience.h
 *	  The time that receivers had, by which requests time out. Only for this
 *	  floor. Raises nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_PATIENCE_H
#define IU_PATIENCE_H

#include "http/transfer.h"

/* While requests are under way, somebody looks at their sockets at least so often, ms. */
#define IU_LOOK_MS 100

/* Between two looks receivers had no more time than this, ms: what a busy machine, or a long pass, may take. */
#define IU_COUNTED_MS 200

typedef struct IuPatience
{
	int64		looked_at;		/* when this was last asked, of iu_clock_ms; 0: never */
	int64		time;			/* ms that receivers had since the pool was made */
	int64		next_end;		/* of time: no request times out before; PG_INT64_MAX: none will */
} IuPatience;

extern void iu_patience_init(IuPatience *patience);
extern int64 iu_patience_pass(IuPatience *patience, int64 now);
extern void iu_patience_begin(IuPatience *patience, IuTransfer *transfer);
extern bool iu_patience_is_over(const IuPatience *patience, const IuTransfer *transfer);
extern void iu_patience_prolong(const dlist_head *running, int64 lost);
extern void iu_patience_find_next(IuPatience *patience, const dlist_head *running);

#endif							/* IU_PATIENCE_H */
