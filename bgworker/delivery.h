/*-------------------------------------------------------------------------
 *
 * delivery.h
 *	  What a sender has claimed: batches, their leases and deliveries, in its
 *	  own memory. claim.c fills it, share.c queues it, parcel.c makes requests
 *	  of it, outcome.c notes what became of them, record.c writes it down;
 *	  sender.c decides when. turn.c is what a sender does beside it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DELIVERY_H
#define IU_DELIVERY_H

#include "bgworker/worker.h"
#include "http/client.h"
#include "lib/ilist.h"

/* Of an answer or an error, what is stored. */
#define IU_EXCERPT_BYTES 1024

/* What one claim brought. Everything below it lives in its context. */
typedef struct IuBatch
{
	dlist_node	node;
	MemoryContext context;
	size_t		bytes;			/* of the bodies */
	dlist_head	leases;			/* those not fully recorded yet */
} IuBatch;

/* What a route has to send, in turn with the other routes. */
typedef struct IuQueue
{
	dlist_node	node;
	char	   *route_code;
	int			leases;			/* which belong to it; it goes with the last */
	dlist_head	waiting;		/* deliveries */
	int			in_flight;

	/* While some are chosen. */
	dlist_node *next;			/* of those waiting; NULL: no more */
	int			chosen;
} IuQueue;

typedef struct IuLease
{
	dlist_node	node;
	IuQueue    *queue;
	int64		id;
	int			generation;

	/* Of its route, when it was claimed. */
	char	   *route_code;
	char	   *target_url;
	const char **secrets;
	int			secret_count;
	int			timeout_ms;

	List	   *deliveries;		/* all of them */
	int			unfinished;		/* how many have no outcome yet */
	List	   *finished;		/* with outcome, not recorded yet */
	TimestampTz finished_since;
	IuBackoff	backoff;		/* of its recording */
	bool		lost;			/* another sender has taken it over, or may */
	bool		checked;		/* in this turn, with this result */
	char	   *refusal;		/* why its deliveries may not go; NULL: they may */
} IuLease;

typedef struct IuDelivery
{
	dlist_node	node;			/* among those that wait */
	MemoryContext context;		/* the batch's */
	IuLease    *lease;
	bool		in_flight;

	char	   *event_id;
	int			replay_number;
	int			attempt_no;
	char	   *webhook_id;
	char	   *body;			/* in the server's encoding */

	/* The attempt. */
	const char *outcome;		/* sent, failed, held; NULL: none yet */
	TimestampTz started_at;
	int64		microseconds;
	int			status;			/* of HTTP, 0: none */
	int			retry_after;	/* seconds, -1: none */
	const char *failure_code;	/* NULL if sent */
	const char *failure_detail;
	const char *excerpt;		/* of the response */
} IuDelivery;

/* claim.c; all in a transaction */
extern IuWorkerState iu_claim_readiness(void);
extern IuBatch *iu_claim(MemoryContext parent, const char *sender, int max, int route_max, int *claimed);
extern TimestampTz iu_claim_next_due(int route_max);
extern void iu_claim_check(MemoryContext context, IuLease *lease);

/* share.c: the queues */
extern void iu_queue_join(IuLease *lease);
extern void iu_queue_part(IuLease *lease);
extern void iu_queue_add(IuDelivery *delivery);
extern void iu_queue_start(IuDelivery *delivery);
extern void iu_queue_leave(IuDelivery *delivery);
extern int	iu_queues_count(void);
extern bool iu_queues_wait(void);
extern int	iu_queues_in_flight(void);

/* A list of deliveries, in the current memory context. */
extern List *iu_choose_next(int places);

/* parcel.c; outside of transactions */
extern const char *iu_parcel_submit(IuHttpPool *pool, IuDelivery *delivery, bool *held,
									const char **detail);

/* outcome.c; the last also where there is nothing to inherit */
extern char *iu_excerpt(MemoryContext context, const char *bytes, size_t length);
extern void iu_finish(IuDelivery *delivery, const char *outcome, const char *code, const char *detail);
extern void iu_inherit_outcomes(dlist_head *batches, IuLease *lease);

/* record.c */
extern IuCall iu_record_call;
extern IuCall iu_keep_call;
extern void iu_record(IuLease *lease);
extern void iu_record_keep(IuLease *lease);

/* turn.c; in a transaction */
extern bool iu_turn(void);

#endif							/* IU_DELIVERY_H */
