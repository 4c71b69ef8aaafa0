/*-------------------------------------------------------------------------
 *
 * share.c
 *	  Which of the deliveries that wait go next: a queue for each route.
 *
 * A route may have half of the connections that the others leave free, but not
 * more than twice its even part, and always one as long as any is free. So a busy
 * route gets many, and where the endpoints of several routes hang, the next route
 * still finds a connection. No route has more than its own limit says: more of
 * its deliveries are claimed, so that one goes out when another is answered.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/sender.h"
#include "core/compat.h"
#include "utils/memutils.h"

/* context: in which the queues are kept. */
void
iu_queues_init(IuQueues *queues, MemoryContext context)
{
	memset(queues, 0, sizeof(IuQueues));
	queues->context = context;
	dlist_init(&queues->queues);
}

static IuQueue *
find_queue(IuQueues *queues, const char *route_code)
{
	dlist_iter	each;

	dlist_foreach(each, &queues->queues)
	{
		IuQueue    *queue = dlist_container(IuQueue, node, each.cur);

		if (strcmp(queue->route_code, route_code) == 0)
			return queue;
	}
	return NULL;
}

static IuQueue *
add_queue(IuQueues *queues, const char *route_code)
{
	IuQueue    *queue = MemoryContextAllocZero(queues->context, sizeof(IuQueue));

	queue->all = queues;
	queue->route_code = MemoryContextStrdup(queues->context, route_code);
	dlist_init(&queue->waiting);
	dlist_push_tail(&queues->queues, &queue->node);
	queues->count++;
	return queue;
}

/* Gives a lease the queue of its route. */
void
iu_queue_join(IuQueues *queues, IuLease *lease)
{
	lease->queue = find_queue(queues, lease->route_code);
	if (lease->queue == NULL)
		lease->queue = add_queue(queues, lease->route_code);
	lease->queue->leases++;
	lease->queue->limit = lease->requests;
}

/* A lease whose deliveries have all left the queue leaves it. */
void
iu_queue_part(IuLease *lease)
{
	IuQueue    *queue = lease->queue;

	lease->queue = NULL;
	if (--queue->leases > 0)
		return;
	dlist_delete(&queue->node);
	queue->all->count--;
	pfree(queue->route_code);
	pfree(queue);
}

/* Has a delivery wait in the queue of its lease. */
void
iu_queue_add(IuDelivery *delivery)
{
	IuQueue    *queue = delivery->lease->queue;

	dlist_push_tail(&queue->waiting, &delivery->node);
	queue->all->waiting++;
}

/* A delivery that waits goes out. */
void
iu_queue_start(IuDelivery *delivery)
{
	IuQueue    *queue = delivery->lease->queue;

	dlist_delete(&delivery->node);
	queue->all->waiting--;
	delivery->in_flight = true;
	queue->in_flight++;
	queue->all->in_flight++;
}

/* A delivery that waits, or is under way, has ended. */
void
iu_queue_leave(IuDelivery *delivery)
{
	IuQueue    *queue = delivery->lease->queue;

	if (!delivery->in_flight)
	{
		dlist_delete(&delivery->node);
		queue->all->waiting--;
		return;
	}
	delivery->in_flight = false;
	queue->in_flight--;
	queue->all->in_flight--;
}

static void
choose_from(IuQueue *queue, List **chosen)
{
	*chosen = lappend(*chosen, dlist_container(IuDelivery, node, queue->next));
	queue->chosen++;
	queue->next = dlist_has_next(&queue->waiting, queue->next)
		? dlist_next_node(&queue->waiting, queue->next)
		: NULL;
}

static void
begin_choice(IuQueues *queues)
{
	dlist_iter	each;

	/* Another route is the first each time, should there be too few places for all. */
	if (!dlist_is_empty(&queues->queues))
		dlist_push_tail(&queues->queues, dlist_pop_head_node(&queues->queues));
	dlist_foreach(each, &queues->queues)
	{
		IuQueue    *queue = dlist_container(IuQueue, node, each.cur);

		queue->chosen = 0;
		queue->next = dlist_is_empty(&queue->waiting) ? NULL : dlist_head_node(&queue->waiting);
	}
}

/*
 * How many connections a route may have. places: how many there are; taken: how
 * many of them are taken; own: by this route.
 */
static int
share_of(const IuQueues *queues, int places, int taken, int own)
{
	int			half = (places - (taken - own)) / 2;

	return Max(Min(half, 2 * places / queues->count), 1);
}

/*
 * The deliveries that may go now, as a list in the current memory context: one
 * of each route in turn, each route within its share. places: how many may be
 * under way at a time. The deliveries still wait.
 */
List *
iu_queues_choose(IuQueues *queues, int places)
{
	List	   *chosen = NIL;
	int			taken = queues->in_flight;
	bool		more = true;
	dlist_iter	each;

	begin_choice(queues);
	while (more)
	{
		more = false;
		dlist_foreach(each, &queues->queues)
		{
			IuQueue    *queue = dlist_container(IuQueue, node, each.cur);
			int			own = queue->in_flight + queue->chosen;

			if (taken >= places)
				return chosen;
			if (queue->next == NULL || own >= Min(queue->limit, share_of(queues, places, taken, own)))
				continue;
			choose_from(queue, &chosen);
			taken++;
			more = true;
		}
	}
	return chosen;
}
