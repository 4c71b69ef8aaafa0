/*-------------------------------------------------------------------------
 *
 * share.c
 *	  Which of the deliveries that wait go next: a queue for each route.
 *
 * A route has at most half of the connections that the others leave, and at
 * most twice its even part, but always one if there is one: a busy route gets
 * many, and however many endpoints hang, the next route finds a place for a
 * long time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/delivery.h"
#include "core/compat.h"
#include "utils/memutils.h"

static dlist_head queues = DLIST_STATIC_INIT(queues);
static int	queue_count = 0;
static int	waiting = 0;
static int	in_flight = 0;

static IuQueue *
find_queue(const char *route_code)
{
	dlist_iter	each;

	dlist_foreach(each, &queues)
	{
		IuQueue    *queue = dlist_container(IuQueue, node, each.cur);

		if (strcmp(queue->route_code, route_code) == 0)
			return queue;
	}
	return NULL;
}

/* A lease is of one route. */
void
iu_queue_join(IuLease *lease)
{
	IuQueue    *queue = find_queue(lease->route_code);

	if (queue == NULL)
	{
		queue = MemoryContextAllocZero(TopMemoryContext, sizeof(IuQueue));
		queue->route_code = MemoryContextStrdup(TopMemoryContext, lease->route_code);
		dlist_init(&queue->waiting);
		dlist_push_tail(&queues, &queue->node);
		queue_count++;
	}
	queue->leases++;
	lease->queue = queue;
}

void
iu_queue_part(IuLease *lease)
{
	IuQueue    *queue = lease->queue;

	lease->queue = NULL;
	if (--queue->leases > 0)
		return;
	dlist_delete(&queue->node);
	queue_count--;
	pfree(queue->route_code);
	pfree(queue);
}

void
iu_queue_add(IuDelivery *delivery)
{
	dlist_push_tail(&delivery->lease->queue->waiting, &delivery->node);
	waiting++;
}

void
iu_queue_start(IuDelivery *delivery)
{
	dlist_delete(&delivery->node);
	waiting--;
	delivery->in_flight = true;
	delivery->lease->queue->in_flight++;
	in_flight++;
}

/* From where it waits, or from its flight. */
void
iu_queue_leave(IuDelivery *delivery)
{
	if (!delivery->in_flight)
	{
		dlist_delete(&delivery->node);
		waiting--;
		return;
	}
	delivery->in_flight = false;
	delivery->lease->queue->in_flight--;
	in_flight--;
}

int
iu_queues_count(void)
{
	return queue_count;
}

bool
iu_queues_wait(void)
{
	return waiting > 0;
}

int
iu_queues_in_flight(void)
{
	return in_flight;
}

static void
take_next(IuQueue *queue, List **chosen)
{
	*chosen = lappend(*chosen, dlist_container(IuDelivery, node, queue->next));
	queue->chosen++;
	queue->next = dlist_has_next(&queue->waiting, queue->next)
		? dlist_next_node(&queue->waiting, queue->next)
		: NULL;
}

static void
begin_choice(void)
{
	dlist_iter	each;

	/* Another is the first each time, should there be too few places for all. */
	if (!dlist_is_empty(&queues))
		dlist_push_tail(&queues, dlist_pop_head_node(&queues));
	dlist_foreach(each, &queues)
	{
		IuQueue    *queue = dlist_container(IuQueue, node, each.cur);

		queue->chosen = 0;
		queue->next = dlist_is_empty(&queue->waiting) ? NULL : dlist_head_node(&queue->waiting);
	}
}

/* How many of the places a route may have that has so many of those that are taken. */
static int
share_of(int places, int taken, int own)
{
	int			half = (places - (taken - own)) / 2;

	return Max(Min(half, 2 * places / queue_count), 1);
}

/* Those that fit into the places, one of each route in turn, each route within its share. */
List *
iu_choose_next(int places)
{
	List	   *chosen = NIL;
	int			taken = in_flight;
	bool		more = true;
	dlist_iter	each;

	begin_choice();
	while (more)
	{
		more = false;
		dlist_foreach(each, &queues)
		{
			IuQueue    *queue = dlist_container(IuQueue, node, each.cur);
			int			own = queue->in_flight + queue->chosen;

			if (taken >= places)
				return chosen;
			if (queue->next == NULL || own >= share_of(places, taken, own))
				continue;
			take_next(queue, &chosen);
			taken++;
			more = true;
		}
	}
	return chosen;
}
