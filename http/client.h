/*-------------------------------------------------------------------------
 *
 * client.h
 *	  HTTP requests, many at once, inside the process's own wait set: a pool
 *	  holds a libcurl multi handle whose sockets sit in a private epoll
 *	  descriptor, waited for beside the latch and the postmaster's death.
 *
 * Requests follow no redirect, use no proxy, verify TLS, speak only http and
 * https, and are checked by egress.h twice: the URL when started, the
 * address when connecting. Nothing here raises across a curl callback.
 *
 * Over https they go by HTTP/2 where the peer speaks it, many on a connection.
 *
 * When a connection kept from an earlier request, or shared with others, turns
 * out to be dead, curl sends the request once more on a new one, a POST too: a
 * peer may see a request twice, as it may whenever an answer is lost.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CLIENT_H
#define IU_CLIENT_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/* What became of a request. Keep iu_http_outcome_codes in answer.c in the same order. */
typedef enum IuHttpOutcome
{
	IU_HTTP_ANSWERED,			/* a complete answer, whatever its status */
	IU_HTTP_ORIGIN_REFUSED,		/* not in iu_core.allowed_origins: nothing was connected */
	IU_HTTP_ADDRESS_REFUSED,	/* not in iu_core.allowed_networks: nothing was connected */
	IU_HTTP_DNS,				/* the name did not resolve */
	IU_HTTP_CONNECT,			/* refused or unreachable */
	IU_HTTP_TLS,				/* handshake or certificate */
	IU_HTTP_TIMEOUT,
	IU_HTTP_RESET,				/* the peer closed before the answer was complete */
	IU_HTTP_TOO_LARGE,			/* answer over the limit: cut there; status may be set */
	IU_HTTP_PROTOCOL,			/* what came was not HTTP */
	IU_HTTP_REQUEST_TOO_LARGE	/* over iu_core.max_request_size: nothing was connected */
} IuHttpOutcome;

/* Stable words for attempts and messages, e.g. "connect_failed". */
extern const char *iu_http_outcome_code(IuHttpOutcome outcome);

typedef struct IuHttpRequest
{
	const char *method;			/* GET, HEAD, POST, PUT, PATCH, DELETE or SEARCH */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	const char *body;			/* NULL for none */
	size_t		body_length;
	int			timeout_ms;		/* 0: iu_core.request_timeout, which is also the most */
	int			idle_s;			/* connections idle for more whole seconds are not used; 0: curl's default, 118 */
	size_t		keep;			/* bytes of the answer's body that are wanted; 0: all */
	void	   *owner;			/* the caller's, handed back with the answer */
} IuHttpRequest;

typedef struct IuHttpAnswer
{
	void	   *owner;
	IuHttpOutcome outcome;
	int			status;			/* 0 unless a status line came */
	int			retry_after;	/* seconds, -1 where the answer named none */
	int64		microseconds;	/* from start to end, waiting in line excluded */
	StringInfoData body;		/* as far as it came, within the limit and what is wanted of it */
	char	   *content_type;	/* printable ASCII; NULL where absent */
	char	   *error;			/* a sentence for people: no path, no query, no header; NULL if answered */
} IuHttpAnswer;

/* The answer and all that belongs to it. */
extern void iu_http_answer_free(IuHttpAnswer *answer);

typedef struct IuHttpPool IuHttpPool;

/*
 * The pool lives in the context and dies with it (a reset callback closes
 * sockets and handles), so an error or a cancel needs no clean-up code.
 */
extern IuHttpPool *iu_http_pool_create(MemoryContext context, int max_in_flight);

/* How many it carries at a time: fewer than asked for where the server has too few descriptors. */
extern int	iu_http_pool_size(const IuHttpPool *pool);

/*
 * Takes a copy of everything in the request, which starts with the next wait.
 * Requests over max_in_flight wait in line. A refusal by egress is an answer, not an error; an unknown
 * method or a malformed header is an error (22023) that quotes no value.
 */
extern void iu_http_submit(IuHttpPool *pool, const IuHttpRequest *request);

/* Starts what waits in line and has a place, without waiting for anything. */
extern void iu_http_start(IuHttpPool *pool);

/* Submitted and not yet handed back. */
extern int	iu_http_pending(const IuHttpPool *pool);

typedef enum IuHttpEvent
{
	IU_HTTP_EVENT_ANSWER,		/* *answer is set */
	IU_HTTP_EVENT_LATCH,		/* MyLatch was set and has been reset */
	IU_HTTP_EVENT_TIMEOUT		/* wait_ms passed */
} IuHttpEvent;

/*
 * Drives every request until one is answered, the latch is set or wait_ms
 * passed (-1: no limit). Runs CHECK_FOR_INTERRUPTS. Answers come first: while
 * there are any the latch stays set. With nothing pending it just waits. The
 * answer is palloc'd in the current memory context. wait_event: see
 * iu_wait_event in compat.h.
 */
extern IuHttpEvent iu_http_wait(IuHttpPool *pool, long wait_ms, uint32 wait_event,
								IuHttpAnswer **answer);

/*
 * For who waits elsewhere: readable once iu_http_wait should be called again
 * (with 0 ms), at the latest after so many ms. It stays the pool's.
 */
extern int	iu_http_descriptor(IuHttpPool *pool, int most_ms);

/*
 * One request, waited for to its end, while others of the pool go on. A latch
 * set meanwhile is set again at the end, for whoever waits for it.
 */
extern IuHttpAnswer *iu_http_perform(IuHttpPool *pool, const IuHttpRequest *request,
									 uint32 wait_event);

#endif							/* IU_CLIENT_H */
