/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  One request on its way through libcurl: copied, checked, and ended. What
 *	  curl is told of it is in handle.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/settings.h"
#include "http/egress.h"
#include "http/transfer.h"
#include "utils/memutils.h"

#if LIBCURL_VERSION_NUM < 0x075700
#error "iu_core needs libcurl 7.87 or later"
#endif

#define LONG_LOST_MS 1000		/* a server may have given up a request that stood still for so long */

/* ---------- the request ---------- */

/* A list of headers for curl, in one piece of memory: the nodes, then the texts. */
typedef struct HeaderList
{
	struct curl_slist *nodes;
	int			count;
	char	   *free;			/* where the next text goes */
} HeaderList;

static HeaderList
make_header_list(const char *const *headers, int more, size_t more_bytes)
{
	HeaderList	list = {NULL, 0};
	size_t		bytes = more_bytes;
	int			nodes = more;
	int			i;

	for (i = 0; headers != NULL && headers[i] != NULL; i++, nodes++)
		bytes += strlen(headers[i]) + 1;
	list.nodes = palloc(nodes * sizeof(struct curl_slist) + bytes);
	list.free = (char *) (list.nodes + nodes);
	return list;
}

/* Appends a header. For curl "Name:" means to leave it out, and "Name;" to send it empty. */
static void
append_header(HeaderList *list, const char *header)
{
	struct curl_slist *node = &list->nodes[list->count];
	size_t		size = strlen(header) + 1;

	node->data = memcpy(list->free, header, size);
	node->next = NULL;
	if (list->count++ > 0)
		node[-1].next = node;
	list->free += size;
}

/* Has an empty header sent, which curl would take for one that is to be left out. */
static void
append_own_header(HeaderList *list, const char *header)
{
	char	   *colon;

	append_header(list, header);
	colon = strchr(list->nodes[list->count - 1].data, ':');
	if (colon != NULL && colon[1 + strspn(colon + 1, " \t")] == '\0')
	{
		colon[0] = ';';
		colon[1] = '\0';
	}
}

/*
 * Makes the list of headers for curl. Left out is what curl would add by itself:
 * Expect, which costs a second with servers that ignore it, and the content type
 * of a form.
 */
static struct curl_slist *
copy_headers(const char *const *headers)
{
	static const char *const left_out[] = {"Expect:", "Content-Type:"};
	HeaderList	list = make_header_list(headers, lengthof(left_out), strlen(left_out[0]) + strlen(left_out[1]) + 2);
	bool		typed = false;
	int			i;

	append_header(&list, left_out[0]);
	for (i = 0; headers != NULL && headers[i] != NULL; i++)
	{
		typed |= pg_strncasecmp(headers[i], left_out[1], strlen(left_out[1])) == 0;
		append_own_header(&list, headers[i]);
	}
	if (!typed)
		append_header(&list, left_out[1]);
	return list.nodes;
}

/* Whether a request of this method has a body even where there is nothing to send: then it says "Content-Length: 0". */
static bool
always_has_body(const char *method)
{
	return method[0] == 'P';
}

/* Copies the body, or notes that it is too large to be sent. */
static void
copy_body(IuTransfer *transfer, const IuHttpRequest *request)
{
	if (request->body == NULL)
	{
		if (always_has_body(transfer->method))
			transfer->body = pstrdup("");
	}
	else if (request->body_length <= (size_t) iu_max_request_kb * 1024)
	{
		transfer->body = palloc(request->body_length + 1);
		memcpy(transfer->body, request->body, request->body_length);
		transfer->body_length = request->body_length;
	}
	else
	{
		transfer->outcome = IU_HTTP_REQUEST_TOO_LARGE;
		transfer->refusal = psprintf("request body of %zu bytes is larger than iu_core.max_request_size (%d kB)",
									 request->body_length, iu_max_request_kb);
	}
}

/*
 * A transfer for a copy of the request, in the context. Raises (22023) for a
 * request that no server should be asked.
 */
IuTransfer *
iu_transfer_create(MemoryContext context, const IuHttpRequest *request)
{
	MemoryContext previous;
	IuTransfer *transfer;

	iu_http_request_check(request);
	previous = MemoryContextSwitchTo(context);
	transfer = palloc0(sizeof(IuTransfer));
	transfer->owner = request->owner;
	transfer->method = pstrdup(request->method);
	transfer->url = request->url ? pstrdup(request->url) : NULL;
	transfer->origin = iu_egress_origin(request->url);
	if (transfer->origin == NULL)
		transfer->origin = pstrdup("?");
	transfer->headers = copy_headers(request->headers);
	copy_body(transfer, request);

	transfer->timeout_ms = iu_request_timeout;
	if (request->timeout_ms > 0)
		transfer->timeout_ms = Min(request->timeout_ms, iu_request_timeout);
	transfer->connect_ms = Min(iu_connect_timeout, transfer->timeout_ms);
	transfer->idle_s = request->idle_s;
	transfer->authorities = request->authorities ? pstrdup(request->authorities) : NULL;
	transfer->identity = request->identity ? pstrdup(request->identity) : NULL;

	/* An answer is handed over as a StringInfo, which ends a byte below 1 GB. */
	transfer->limit = Min((size_t) iu_max_response_kb * 1024, MaxAllocSize - 1024);
	transfer->keep = request->keep > 0 ? Min(request->keep, transfer->limit) : transfer->limit;
	MemoryContextSwitchTo(previous);
	return transfer;
}

/*
 * The check right before a transfer starts: false if it may not be sent; its
 * outcome is set then.
 *
 * context: for the reason.
 */
bool
iu_transfer_is_allowed(MemoryContext context, IuTransfer *transfer)
{
	MemoryContext previous;

	if (transfer->refusal != NULL)
		return false;
	previous = MemoryContextSwitchTo(context);
	transfer->refusal = iu_egress_refuses_url(transfer->url);
	MemoryContextSwitchTo(previous);
	if (transfer->refusal != NULL)
		transfer->outcome = IU_HTTP_ORIGIN_REFUSED;
	return transfer->refusal == NULL;
}

/* Whether the transfer may go by HTTP/2, on a connection together with others. */
bool
iu_transfer_may_share(const IuTransfer *transfer)
{
	static int	http2 = -1;

	if (http2 < 0)
		http2 = (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2) != 0;
	return http2 && strncmp(transfer->origin, "https:", 6) == 0;
}

/* ---------- the end ---------- */

/* Frees what is malloc'd. Raises nothing. */
void
iu_transfer_release(IuTransfer *transfer)
{
	free(transfer->data);
	transfer->data = NULL;
}

/*
 * Whether a transfer that has ended is to be asked once more. A server that
 * waits for a request to become complete gives up after a while, with an empty
 * 408 or without a word (RFC 9110, 15.5.9). Where that was because nobody sent
 * the rest of it, the receiver has refused nothing.
 */
bool
iu_transfer_deserves_another(const IuTransfer *transfer)
{
	if (transfer->repeated || transfer->lost_ms < LONG_LOST_MS || transfer->received > 0)
		return false;
	return (transfer->outcome == IU_HTTP_ANSWERED && transfer->status == 408) ||
		(transfer->outcome == IU_HTTP_RESET && transfer->header_bytes == 0);
}

/* Makes a transfer that curl is through with be as it was before it started. Raises nothing. */
void
iu_transfer_rewind(IuTransfer *transfer)
{
	iu_transfer_release(transfer);
	transfer->repeated = true;
	transfer->received = transfer->length = transfer->capacity = transfer->header_bytes = 0;
	transfer->too_large = transfer->no_memory = transfer->address_tried = false;
	transfer->lost_ms = 0;
	transfer->sendings = 0;
	transfer->refused_address[0] = transfer->content_type[0] = transfer->retry_after[0] = '\0';
	transfer->date[0] = transfer->curl_error[0] = transfer->encoding[0] = '\0';
}

/* Frees the transfer and all that belongs to it, after curl is through with it. */
void
iu_transfer_free(IuTransfer *transfer)
{
	iu_transfer_release(transfer);
	pfree(transfer->headers);
	pfree(transfer->method);
	pfree(transfer->origin);
	if (transfer->url != NULL)
		pfree(transfer->url);
	if (transfer->body != NULL)
		pfree(transfer->body);
	if (transfer->refusal != NULL)
		pfree(transfer->refusal);
	if (transfer->authorities != NULL)
		pfree(transfer->authorities);
	if (transfer->identity != NULL)
		pfree(transfer->identity);
	pfree(transfer);
}
