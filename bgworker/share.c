/*-------------------------------------------------------------------------
 *
 * share.c
 *	  Which of the deliveries that wait go next.
 *
 * A route has at most half of the connections that the others leave, but
 * always one if there is one: a busy route gets many, and however many
 * endpoints hang, the next route finds a place for a long time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/delivery.h"
#include "core/compat.h"

static int
on_route(dlist_head *in_flight, const char *route_code)
{
	dlist_iter	each;
	int			count = 0;

	dlist_foreach(each, in_flight)
	{
		if (strcmp(dlist_container(IuDelivery, node, each.cur)->route_code, route_code) == 0)
			count++;
	}
	return count;
}

static int
chosen_on_route(const List *chosen, const char *route_code)
{
	ListCell   *cell;
	int			count = 0;

	foreach(cell, chosen)
	{
		if (strcmp(((IuDelivery *) lfirst(cell))->route_code, route_code) == 0)
			count++;
	}
	return count;
}

/* Those that fit into the free places, each route within its share. */
List *
iu_choose_next(dlist_head *waiting, dlist_head *in_flight, int in_flight_count)
{
	List	   *chosen = NIL;
	const char *full = "";		/* the last route found without room, to ask less often */
	dlist_iter	each;

	dlist_foreach(each, waiting)
	{
		IuDelivery *delivery = dlist_container(IuDelivery, node, each.cur);
		int			taken = in_flight_count + list_length(chosen);
		int			own;

		if (taken >= IU_IN_FLIGHT_MAX)
			break;
		if (strcmp(delivery->route_code, full) == 0)
			continue;
		own = on_route(in_flight, delivery->route_code) + chosen_on_route(chosen, delivery->route_code);
		if (own < Max(1, (IU_IN_FLIGHT_MAX - (taken - own)) / 2))
			chosen = lappend(chosen, delivery);
		else
			full = delivery->route_code;
	}
	return chosen;
}
