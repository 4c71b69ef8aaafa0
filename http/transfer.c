/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  One request on its way through libcurl: copied, set up, and received
 *	  within its limits.
 *
 * The functions that curl calls neither palloc nor raise: an error would jump
 * across curl's own frames. They note what happened and tell curl to stop, and
 * outcome.c makes a sentence of it afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/compat.h"
#include "core/settings.h"
#include "http/address.h"
#include "http/egress.h"
#include "http/transfer.h"
#include "http/trust.h"
#include "utils/memutils.h"

#if LIBCURL_VERSION_NUM < 0x075700
#error "iu_core needs libcurl 7.87 or later"
#endif

#define CONNECT_GRACE_MS 1000	/* curl gives up so much later than we do */
#define LONG_LOST_MS 1000		/* a server may have given up a request that stood still for so long */
#define FIRST_CAPACITY 8192		/* bytes of an answer's body that there is room for at first */

/* ---------- the request ---------- */

static char **
copy_headers(const char *const *headers)
{
	char	  **copy;
	int			count = 0;
	int			i;

	while (headers != NULL && headers[count] != NULL)
		count++;
	copy = palloc0(sizeof(char *) * (count + 1));
	for (i = 0; i < count; i++)
		copy[i] = pstrdup(headers[i]);
	return copy;
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

/* ---------- curl's callbacks: no palloc, no ereport ---------- */

/* Keeps what has come of the body, as much as is wanted of it. */
static size_t
on_body(char *bytes, size_t size, size_t count, void *arg)
{
	IuTransfer *transfer = arg;
	size_t		more = size * count;

	if (more > transfer->limit - transfer->received)
	{
		more = transfer->limit - transfer->received;
		transfer->too_large = true;
	}
	transfer->received += more;
	more = Min(more, transfer->keep - transfer->length);
	if (transfer->length + more > transfer->capacity)
	{
		size_t		capacity = Max(transfer->capacity * 2, FIRST_CAPACITY);
		char	   *grown;

		while (capacity < transfer->length + more)
			capacity *= 2;
		capacity = Min(capacity, transfer->keep);
		grown = realloc(transfer->data, capacity);
		if (grown == NULL)
		{
			transfer->no_memory = true;
			return 0;
		}
		transfer->data = grown;
		transfer->capacity = capacity;
	}
	if (more > 0)
		memcpy(transfer->data + transfer->length, bytes, more);
	transfer->length += more;
	return transfer->too_large ? 0 : size * count;
}

/*
 * Copies a header's value, trimmed, if it is the header of this name; cut to
 * what fits.
 *
 * name: in lower case, with the colon.
 */
static void
note_header(const char *header, size_t length, const char *name, char *to, size_t size)
{
	size_t		skip = strlen(name);

	if (length <= skip || pg_strncasecmp(header, name, skip) != 0)
		return;
	header += skip;
	length -= skip;
	while (length > 0 && (*header == ' ' || *header == '\t'))
		header++, length--;
	while (length > 0 && strchr(" \t\r\n", header[length - 1]) != NULL)
		length--;
	length = Min(length, size - 1);
	memcpy(to, header, length);
	to[length] = '\0';
}

/* Notes what is wanted of the header, a part of which has come. */
static size_t
on_header(char *bytes, size_t size, size_t count, void *arg)
{
	IuTransfer *transfer = arg;
	size_t		length = size * count;

	transfer->header_bytes += length;
	*transfer->all_header_bytes += length;
	if (transfer->header_bytes > IU_HEADERS_LIMIT)
	{
		/* over HTTP/2 the rest of the header would come first, before what other answers still lack */
		curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
		transfer->too_large = true;
		return 0;
	}
	if (length > 5 && memcmp(bytes, "HTTP/", 5) == 0)
	{
		/* what an interim answer said, which came before this one, does not count */
		transfer->content_type[0] = transfer->encoding[0] = '\0';
		transfer->retry_after[0] = transfer->date[0] = '\0';
	}
	note_header(bytes, length, "content-type:", transfer->content_type, sizeof(transfer->content_type));
	note_header(bytes, length, "content-encoding:", transfer->encoding, sizeof(transfer->encoding));
	note_header(bytes, length, "retry-after:", transfer->retry_after, sizeof(transfer->retry_after));
	note_header(bytes, length, "date:", transfer->date, sizeof(transfer->date));
	return length;
}

/* Opens a socket for a connection to this address, if it may be connected to. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *peer)
{
	IuTransfer *transfer = arg;

	if (!iu_address_allows(&peer->addr))
	{
		const void *bytes = peer->family == AF_INET6
			? (const void *) &((const struct sockaddr_in6 *) &peer->addr)->sin6_addr
			: (const void *) &((const struct sockaddr_in *) &peer->addr)->sin_addr;

		if (inet_ntop(peer->family, bytes, transfer->refused_address, INET6_ADDRSTRLEN) == NULL)
			strlcpy(transfer->refused_address, "?", INET6_ADDRSTRLEN);
		return CURL_SOCKET_BAD;
	}
	transfer->address_tried = true;
	return socket(peer->family, peer->socktype | SOCK_CLOEXEC, peer->protocol);
}

/*
 * Checks the address once more right before a request is sent: the connection
 * may be one that was kept, and its address may be allowed no more.
 */
static int
on_connected(void *arg, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
	IuTransfer *transfer = arg;
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
	struct sockaddr_in ipv4 = {.sin_family = AF_INET};

	if (++transfer->sendings > IU_SENDINGS_MAX)
		return CURL_PREREQFUNC_ABORT;
	transfer->sent_at = iu_clock_ms();
	strlcpy(transfer->ends.local, local_ip, INET6_ADDRSTRLEN);
	strlcpy(transfer->ends.peer, peer_ip, INET6_ADDRSTRLEN);
	transfer->ends.local_port = local_port;
	transfer->ends.peer_port = peer_port;
	if (inet_pton(AF_INET, peer_ip, &ipv4.sin_addr) == 1 &&
		iu_address_allows((const struct sockaddr *) &ipv4))
		return CURL_PREREQFUNC_OK;
	if (inet_pton(AF_INET6, peer_ip, &ipv6.sin6_addr) == 1 &&
		iu_address_allows((const struct sockaddr *) &ipv6))
		return CURL_PREREQFUNC_OK;
	transfer->address_tried = false;
	strlcpy(transfer->refused_address, peer_ip, INET6_ADDRSTRLEN);
	return CURL_PREREQFUNC_ABORT;
}

/* ---------- setting up ---------- */

/* Whether the transfer may go by HTTP/2, on a connection together with others. */
bool
iu_transfer_may_share(const IuTransfer *transfer)
{
	static int	http2 = -1;

	if (http2 < 0)
		http2 = (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2) != 0;
	return http2 && strncmp(transfer->origin, "https:", 6) == 0;
}

static bool
append_header(struct curl_slist **list, const char *header)
{
	struct curl_slist *longer = curl_slist_append(*list, header);

	if (longer == NULL)
		return false;
	*list = longer;
	return true;
}

/*
 * Makes the list of headers for curl, for which "Name:" means to leave a header
 * out and "Name;" to send it empty. Left out is what curl would add by itself:
 * Expect, which costs a second with servers that ignore it, and the content type
 * of a form. False if there is no memory.
 */
static bool
build_header_list(IuTransfer *transfer)
{
	bool		typed = false;
	bool		good = append_header(&transfer->header_list, "Expect:");
	int			i;

	for (i = 0; good && transfer->headers[i] != NULL; i++)
	{
		char	   *header = transfer->headers[i];
		char	   *colon = strchr(header, ':');

		if (pg_strncasecmp(header, "content-type:", 13) == 0)
			typed = true;
		if (colon != NULL && strspn(colon + 1, " \t") == strlen(colon + 1))
		{
			colon[0] = ';';
			colon[1] = '\0';
		}
		good = append_header(&transfer->header_list, header);
	}
	if (good && !typed)
		good = append_header(&transfer->header_list, "Content-Type:");
	return good;
}

/* Tells curl what is asked. False if it cannot be set. */
static bool
set_request(IuTransfer *transfer, CURL *easy)
{
	bool		good = true;

	good &= curl_easy_setopt(easy, CURLOPT_URL, transfer->url) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->header_list) == CURLE_OK;
	if (transfer->body != NULL)
	{
		good &= curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
		good &= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) transfer->body_length) == CURLE_OK;
		good &= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body) == CURLE_OK;
	}
	if (strcmp(transfer->method, "HEAD") == 0)
		good &= curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
	else
		good &= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, transfer->method) == CURLE_OK;
	if (transfer->idle_s > 0)
		good &= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long) transfer->idle_s) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long) iu_connection_max_age) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, (long) Min(iu_connection_max_age, 60)) == CURLE_OK;
	if (transfer->fresh)
		good &= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK;
	return good;
}

/* Tells curl the rules: nothing that the environment or the peer says widens what a request may do. */
static bool
set_rules(IuTransfer *transfer, CURL *easy)
{
	long		version = iu_transfer_may_share(transfer) ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
	bool		good = true;

	good &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) transfer->limit) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "iu_core/" IU_CORE_VERSION) == CURLE_OK;

	good &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;

	/* else a request that is cancelled while its name is being resolved waits for the resolver to give up */
	good &= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
	return good;
}

/* Tells curl which functions to call. */
static bool
set_callbacks(IuTransfer *transfer, CURL *easy)
{
	bool		good = true;

	good &= curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_error) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer) == CURLE_OK;
	return good;
}

/*
 * Sets a handle up for the transfer. False if there is no memory. Raises
 * nothing.
 *
 * all_header_bytes: counts the bytes of headers in all transfers of the caller.
 */
bool
iu_transfer_prepare(IuTransfer *transfer, CURL *easy, uint64 *all_header_bytes)
{
	transfer->easy = easy;
	transfer->all_header_bytes = all_header_bytes;
	iu_transfer_set_connect_limit(transfer);
	return build_header_list(transfer) && set_request(transfer, easy) &&
		set_rules(transfer, easy) && iu_trust_prepare(easy, transfer->authorities, transfer->identity) &&
		set_callbacks(transfer, easy);
}

/*
 * Tells curl how long connecting may take, which is a little longer than
 * patience.c allows. Raises nothing, and cannot fail.
 */
void
iu_transfer_set_connect_limit(IuTransfer *transfer)
{
	int64		limit = (int64) transfer->connect_ms + CONNECT_GRACE_MS + transfer->lost_ms;

	curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, (long) Min(limit, INT_MAX));
}

/* ---------- the end ---------- */

/* Frees what is malloc'd. Raises nothing. */
void
iu_transfer_release(IuTransfer *transfer)
{
	free(transfer->data);
	transfer->data = NULL;
	curl_slist_free_all(transfer->header_list);
	transfer->header_list = NULL;
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
	int			i;

	iu_transfer_release(transfer);
	for (i = 0; transfer->headers[i] != NULL; i++)
		pfree(transfer->headers[i]);
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
