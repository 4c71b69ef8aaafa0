/*-------------------------------------------------------------------------
 *
 * sender.h
 *	  A sender: what it has claimed, and the duties that carry it out.
 *
 * look.c finds where to claim, claim.c fills the batches, share.c queues their deliveries, send.c sends them
 * by requests of parcel.c, record.c writes down what became of them. turn.c is
 * what a sender does beside that. sender.c puts the duties together.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SENDER_H
#define IU_SENDER_H

#include "bgworker/attempt.h"
#include "bgworker/look.h"
#include "bgworker/worker.h"
#include "http/client.h"
#include "lib/ilist.h"

/* Of an answer or an error, so much is stored. */
#define IU_EXCERPT_BYTES 1024

/* What one claim brought. Everything below it lives in its context. */
typedef struct IuBatch
{
	dlist_node	node;
	MemoryContext context;
	size_t		bytes;			/* of the bodies */
	dlist_head	leases;			/* those not fully recorded yet */
} IuBatch;

/* The queues of a sender, one for each route of which it holds a lease. */
typedef struct IuQueues
{
	MemoryContext context;
	dlist_head	queues;
	int			count;
	int			waiting;		/* deliveries, in all of them */
	int			in_flight;
} IuQueues;

/* What a route has to send, in turn with the other routes. */
typedef struct IuQueue
{
	dlist_node	node;
	IuQueues   *all;
	char	   *route_code;
	int			leases;			/* how many belong to it; it goes with the last */
	dlist_head	waiting;		/* deliveries */
	int			in_flight;
	int			limit;			/* of requests under way, as the newest lease has it */

	/* While the next are chosen. */
	dlist_node *next;			/* of those waiting; NULL: no more */
	int			chosen;
} IuQueue;

typedef struct IuTexts
{
	const char **texts;
	int			count;
} IuTexts;

typedef struct IuLease
{
	dlist_node	node;
	IuQueue    *queue;
	int64		id;
	int			generation;

	/* Of its route, when it was claimed. */
	char	   *route_code;
	char	   *target_url;
	IuTexts		secrets;		/* to sign with */
	IuTexts		headers;		/* "Name: value" each; NULL: its credential is not there */
	IuTexts		hidden;			/* texts in them that must not be in what is recorded */
	char	   *ca_name;		/* see http/certificate.c; NULL: none */
	char	   *client_name;
	int			timeout_ms;
	int			requests;		/* how many this sender may have under way at a time */
	int			most;			/* how many deliveries of the route it may hold */

	List	   *deliveries;		/* all of them */
	int			unfinished;		/* how many have no outcome yet */
	List	   *finished;		/* attempts with an outcome, not recorded yet */
	TimestampTz finished_since;
	IuBackoff	backoff;		/* of its recording */
	bool		lost;			/* another sender has taken it over, or may */
	bool		checked;		/* what follows is known for the deliveries that were chosen last */
	char	   *refusal;		/* the code of why its deliveries may not go; NULL: they may */
	int64		allowed_until;	/* it is not asked for again before, of iu_clock_ms, */
	uint64		allowed_at;		/* while as many transactions have ended */
} IuLease;

typedef struct IuDelivery
{
	dlist_node	node;			/* among those that wait */
	MemoryContext context;		/* the batch's */
	IuLease    *lease;
	bool		in_flight;
	char	   *webhook_id;
	char	   *body;			/* in the server's encoding */
	IuAttempt	attempt;
} IuDelivery;

typedef struct IuSender
{
	char		name[32];
	uint32		http_event;		/* what it waits for while requests are under way, */
	uint32		idle_event;		/* and while there are none */
	IuHttpPool *pool;

	/* What is claimed and not fully recorded. */
	MemoryContext batches_context;
	dlist_head	batches;
	size_t		open_bytes;		/* of these batches */
	IuQueues	queues;

	/* The next claim; see claim.c. */
	IuLook		look;
	TimestampTz next_claim;		/* beside the looks at all routes */
	TimestampTz paced_claim;	/* not before, while there is enough to send */
	IuBackoff	held_backoff;	/* not before, while what is claimed is held again at once */
	int			claim_size;
	int			look_ahead_to;	/* route_max of a claim that left nothing to claim; 0: there was none */
	bool		settled;		/* waits that were written before this process began are bounded */
	bool		came_up_empty;	/* that claim brought nothing either */

	/* The next turn; see turn.c. */
	TimestampTz last_turn;
	TimestampTz next_turn;
} IuSender;

/* claim.c */
extern TimestampTz iu_claim_due(void *worker);
extern ErrorData *iu_claim_more(void *worker);
extern void iu_claim_after_record(IuSender *sender, const IuLease *lease);
extern TimestampTz iu_look_ahead_due(void *worker);
extern ErrorData *iu_look_ahead(void *worker);

/* send.c */
extern TimestampTz iu_send_due(void *worker);
extern ErrorData *iu_send_more(void *worker);
extern void iu_send_answered(const IuHttpAnswer *answer);

/* parcel.c; outside of transactions */
extern const char *iu_parcel_submit(IuHttpPool *pool, IuDelivery *delivery, const char **detail);

/* finish.c */
extern void iu_delivery_finish(IuDelivery *delivery, IuOutcome outcome, const char *code, const char *detail);
extern char *iu_delivery_excerpt(const IuDelivery *delivery, const char *bytes, size_t length);
extern void iu_lease_inherit(IuSender *sender, IuLease *lease);

/* record.c */
extern TimestampTz iu_record_due(void *worker);
extern ErrorData *iu_record_finished(void *worker);
extern bool iu_record_is_troubled(const IuSender *sender);

/* share.c */
extern void iu_queues_init(IuQueues *queues, MemoryContext context);
extern void iu_queue_join(IuQueues *queues, IuLease *lease);
extern void iu_queue_part(IuLease *lease);
extern void iu_queue_add(IuDelivery *delivery);
extern void iu_queue_start(IuDelivery *delivery);
extern void iu_queue_leave(IuDelivery *delivery);
extern List *iu_queues_choose(IuQueues *queues, int places);

/* turn.c */
extern TimestampTz iu_turn_due(void *worker);
extern ErrorData *iu_turn(void *worker);
extern void iu_turn_woken(IuSender *sender);

#endif							/* IU_SENDER_H */
