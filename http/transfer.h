/*-------------------------------------------------------------------------
 *
 * transfer.h
 *	  One request on its way through libcurl. Only client.c, transfer.c,
 *	  connections.c and answer.c need this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_TRANSFER_H
#define IU_TRANSFER_H

#include <curl/curl.h>
#include <netinet/in.h>

#include "http/client.h"
#include "lib/ilist.h"

/* Bytes of an answer's header, interim answers included. */
#define IU_HEADERS_LIMIT (64 * 1024)

typedef struct IuTransfer
{
	dlist_node	node;			/* in one of the pool's lists */
	CURL	   *easy;			/* while it runs */

	/* The request, copied. */
	void	   *owner;
	char	   *method;
	char	   *url;
	char	   *origin;			/* for messages; "?" where the URL has none */
	char	  **headers;		/* NULL-terminated */
	char	   *body;
	size_t		body_length;
	int			timeout_ms;
	int			connect_ms;
	int			idle_s;
	size_t		limit;			/* of the answer's body, bytes */
	size_t		keep;			/* of these, so many are kept */
	int64		started_at;		/* ms, of the pool's clock */
	bool		unled;			/* waits for nobody's connection */

	/* What curl's callbacks noted; nothing here is palloc'd. */
	struct curl_slist *header_list;
	char	   *data;			/* malloc'd */
	size_t		received;		/* of the body */
	size_t		length;			/* of what is kept */
	size_t		capacity;
	size_t		header_bytes;
	bool		too_large;
	bool		no_memory;
	bool		address_tried;	/* at least one was allowed */
	int			sendings;		/* how often it went out, or was about to */
	int			local_port;		/* of the connection that it last went out on */
	int			peer_port;
	char		refused_address[INET6_ADDRSTRLEN];	/* empty: none was refused */
	char		content_type[256];
	char		retry_after[64];
	char		curl_error[CURL_ERROR_SIZE];

	/* The end of it. */
	IuHttpOutcome outcome;
	int			status;
	bool		connected;		/* TLS included */
	int64		microseconds;
	char	   *refusal;		/* a reason known before curl was asked */
} IuTransfer;

/* Copies the request into the context; raises what no server should be asked. */
extern IuTransfer *iu_transfer_create(MemoryContext context, const IuHttpRequest *request);

/* The last check before sending: false if it ends here, with its outcome set. */
extern bool iu_transfer_is_allowed(MemoryContext context, IuTransfer *transfer);

/* Sets the handle up. False if there is no memory. Raises nothing. */
extern bool iu_transfer_prepare(IuTransfer *transfer, CURL *easy);

/* Whether it may go out over HTTP/2, on a connection together with others. */
extern bool iu_transfer_may_share(const IuTransfer *transfer);

/* Of headers, in all transfers so far. */
extern uint64 iu_transfer_header_bytes(void);

/* Takes from the handle what it knows at the end. Raises nothing. */
extern void iu_transfer_finish(IuTransfer *transfer, CURLcode code);

/* In answer.c. Palloc'd in the current context. */
extern IuHttpAnswer *iu_transfer_answer(const IuTransfer *transfer);

/* In connections.c. Raise nothing. */
extern int64 iu_connection_wait(const dlist_head *running, const IuTransfer *transfer, int64 now);
extern void iu_connection_ended(dlist_head *queued, const IuTransfer *ended);
extern void iu_connection_timed_out(const dlist_head *running, const IuTransfer *ended, int64 ran_ms,
									int highest_fd);
extern void iu_connection_broken(const IuTransfer *ended, int highest_fd);

/* What is malloc'd, and then what is palloc'd. */
extern void iu_transfer_release(IuTransfer *transfer);
extern void iu_transfer_free(IuTransfer *transfer);

#endif							/* IU_TRANSFER_H */
