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

typedef struct IuTransfer
{
	dlist_node	node;			/* in one of the lists of client.c */
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
	int64		started_at;		/* ms, of iu_multi_now */
	bool		waits_for_none; /* starts without waiting for the connection of another: see connections.c */

	/* What curl's callbacks noted; nothing here is palloc'd. */
	struct curl_slist *header_list;
	char	   *data;			/* malloc'd */
	size_t		received;		/* of the body */
	size_t		length;			/* of what is kept */
	size_t		capacity;
	size_t		header_bytes;
	uint64	   *all_header_bytes;	/* of all transfers of the multi handle */
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
	int64		microseconds;
	char	   *refusal;		/* a reason known before curl was asked */
} IuTransfer;

extern IuTransfer *iu_transfer_create(MemoryContext context, const IuHttpRequest *request);
extern bool iu_transfer_is_allowed(MemoryContext context, IuTransfer *transfer);
extern bool iu_transfer_may_share(const IuTransfer *transfer);
extern bool iu_transfer_prepare(IuTransfer *transfer, CURL *easy, uint64 *all_header_bytes);
extern void iu_transfer_release(IuTransfer *transfer);
extern void iu_transfer_free(IuTransfer *transfer);

#endif							/* IU_TRANSFER_H */
