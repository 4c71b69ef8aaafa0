/*-------------------------------------------------------------------------
 *
 * transfer.h
 *	  One request on its way through libcurl. Only for this floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_TRANSFER_H
#define IU_TRANSFER_H

#include <curl/curl.h>
#include <netinet/in.h>

#include "http/answer.h"
#include "http/request.h"
#include "lib/ilist.h"

/* Bytes of an answer's header, interim answers included. */
#define IU_HEADERS_LIMIT (64 * 1024)

/* How often a request is sent: curl itself would try a connection that breaks again and again. */
#define IU_SENDINGS_MAX 2

struct IuSockets;

/* The two ends of a connection. */
typedef struct IuEnds
{
	char		local[INET6_ADDRSTRLEN];
	char		peer[INET6_ADDRSTRLEN];
	int			local_port;
	int			peer_port;
} IuEnds;

typedef struct IuTransfer
{
	dlist_node	node;			/* in one of the lists of client.c */
	CURL	   *easy;			/* while it runs */

	/* The request, copied. */
	void	   *owner;
	char	   *method;
	char	   *url;
	char	   *origin;			/* for messages; "?" where the URL has none */
	struct curl_slist *headers; /* for curl */
	char	   *body;
	size_t		body_length;
	int			timeout_ms;
	int			connect_ms;
	int			idle_s;
	char	   *authorities;	/* as in the request */
	char	   *identity;
	size_t		limit;			/* of the answer's body, bytes */
	size_t		keep;			/* of these, so many are kept */
	int64		started_at;		/* ms, of iu_clock_ms */
	int64		began;			/* the same by the time that receivers had: see patience.c */
	int64		lost_ms;		/* since then, in which nobody looked at its socket */
	bool		repeated;		/* it is asked for the second time: see iu_transfer_rewind */

	/* See connections.c. */
	bool		waits_for_none; /* starts without waiting for the connection of another */
	bool		fresh;			/* makes a connection of its own */
	int64		waits_since;	/* for others to leave a connection that is too old; 0: it does not */
	int64		in_use_since;	/* when a request to its origin began to keep the connection in use */

	/* What curl's callbacks noted; nothing here is palloc'd. */
	char	   *data;			/* malloc'd */
	size_t		received;		/* of the body */
	size_t		length;			/* of what is kept */
	size_t		capacity;
	size_t		header_bytes;
	struct IuSockets *sockets;	/* of the multi handle that carries it out */
	bool		too_large;
	bool		no_memory;
	bool		address_tried;	/* at least one was allowed */
	int			sendings;		/* how often it went out, or was about to */
	int64		sent_at;		/* the last time, of iu_clock_ms */
	IuEnds		ends;			/* of the connection that it last went out on */
	char		refused_address[INET6_ADDRSTRLEN];	/* empty: none was refused */
	char		content_type[256];
	char		encoding[64];
	char		retry_after[64];
	char		date[64];
	char		curl_error[CURL_ERROR_SIZE];

	/* The end of it. */
	IuHttpOutcome outcome;
	int			status;
	int64		microseconds;
	char	   *refusal;		/* a reason known before curl was asked */
} IuTransfer;

extern IuTransfer *iu_transfer_create(MemoryContext context, const IuHttpRequest *request);
extern bool iu_transfer_is_allowed(MemoryContext context, IuTransfer *transfer);
extern bool iu_transfer_may_share(const IuTransfer *transfer);
extern void iu_transfer_release(IuTransfer *transfer);
extern bool iu_transfer_deserves_another(const IuTransfer *transfer);
extern void iu_transfer_rewind(IuTransfer *transfer);
extern void iu_transfer_free(IuTransfer *transfer);

#endif							/* IU_TRANSFER_H */
