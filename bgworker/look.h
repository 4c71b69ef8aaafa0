/*-------------------------------------------------------------------------
 *
 * look.h
 *	  Where a sender looks for deliveries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_LOOK_H
#define IU_LOOK_H

#include "bgworker/worker.h"
#include "nodes/pg_list.h"
#include "utils/hsearch.h"

/* The looks of a sender. One is under way from iu_look_prepare to the look ahead that follows its claim. */
typedef struct IuLook
{
	MemoryContext context;		/* of what belongs to the look under way */
	char	   *seen;			/* the snapshot of the last look, as text; NULL: the next one is at all routes */
	HTAB	   *again;			/* codes of routes to look at, whatever is new */
	TimestampTz next_round;		/* when to look at all routes */
	TimestampTz paced_round;	/* but not before */

	/* The look under way. */
	bool		everywhere;		/* at all routes; otherwise: */
	List	   *routes;			/* at these, as codes */
	char	   *now;			/* its snapshot */
	TimestampTz began;
	int			repeat_ms;		/* where looks come up empty: after so long one more; 0: at once */
} IuLook;

extern void iu_look_init(IuLook *look, MemoryContext parent);

/* All routes are to be looked at by that time. */
extern void iu_look_round_by(IuLook *look, TimestampTz when);

/* The route is to be looked at again. */
extern void iu_look_again(IuLook *look, const char *route_code);

/* When the next look at all routes is due. */
extern TimestampTz iu_look_round_due(const IuLook *look);

/* A look: before its transaction, in it, and after it. */
extern void iu_look_prepare(IuLook *look);
extern bool iu_look_find(IuLook *look);
extern Datum iu_look_routes(const IuLook *look, char *null);
extern void iu_look_done(IuLook *look, bool full);
extern void iu_look_failed(IuLook *look);
extern void iu_look_put_off(IuLook *look);

/* What the look ahead found for the routes of the look. Returns when to claim again. */
extern TimestampTz iu_look_ahead_found(IuLook *look, TimestampTz due);

/* A look that brought nothing: when to look once more, should another sender have been at it; DT_NOEND: never. */
extern TimestampTz iu_look_repeat(IuLook *look);

#endif							/* IU_LOOK_H */
