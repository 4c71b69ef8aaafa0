/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  One request on its way through libcurl: checked and copied, set up, and
 *	  received within its limits.
 *
 * curl's callbacks stand in this file. They neither palloc nor raise: an error
 * would jump across curl's own frames. They note what happened, return short,
 * and answer.c makes a sentence of it afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "core/compat.h"
#include "core/settings.h"
#include "http/egress.h"
#include "http/transfer.h"
#include "utils/memutils.h"

#if LIBCURL_VERSION_NUM < 0x075700
#error "iu_core needs libcurl 7.87 or later"
#endif

#define FIRST_CAPACITY 8192
#define SENDINGS_MAX 2			/* curl would try a connection that breaks again and again */

static const char *const known_methods[] = {
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "SEARCH"
};

/* These frame the message or pick the virtual host; curl writes them. */
static const char *const reserved_headers[] = {
	"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect"
};

/* ---------- the request ---------- */

static void
check_method(const char *method)
{
	int			i;

	for (i = 0; i < lengthof(known_methods); i++)
		if (method != NULL && strcmp(method, known_methods[i]) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unsupported HTTP method"),
			 errhint("Supported are GET, HEAD, POST, PUT, PATCH, DELETE and SEARCH.")));
}

/* The value is never quoted: it may be a secret. */
static void
check_header(const char *header, int number)
{
	size_t		name = strspn(header, "!#$%&'*+-.^_`|~0123456789"
							  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
	const char *p;
	int			i;

	if (name == 0 || header[name] != ':')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("HTTP header %d is not of the form \"Name: value\"", number)));
	for (p = header + name; *p != '\0'; p++)
		if (((unsigned char) *p < ' ' && *p != '\t') || *p == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("HTTP header %d holds a control character", number),
					 errhint("A token read from a file may end in a line break.")));
	for (i = 0; i < lengthof(reserved_headers); i++)
		if (strlen(reserved_headers[i]) == name &&
			pg_strncasecmp(header, reserved_headers[i], name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("HTTP header \"%s\" cannot be set", reserved_headers[i])));
}

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
	{
		check_header(headers[i], i + 1);
		copy[i] = pstrdup(headers[i]);
	}
	return copy;
}

/* POST and its like say "Content-Length: 0" where they have nothing to say. */
static bool
always_has_body(const char *method)
{
	return method[0] == 'P';
}

IuTransfer *
iu_transfer_create(MemoryContext context, const IuHttpRequest *request)
{
	MemoryContext previous = MemoryContextSwitchTo(context);
	IuTransfer *transfer;

	check_method(request->method);
	transfer = palloc0(sizeof(IuTransfer));
	transfer->owner = request->owner;
	transfer->method = pstrdup(request->method);
	transfer->url = request->url ? pstrdup(request->url) : NULL;
	transfer->origin = iu_egress_origin(request->url);
	if (transfer->origin == NULL)
		transfer->origin = pstrdup("?");
	transfer->headers = copy_headers(request->headers);
	if (request->body != NULL &&
		request->body_length <= (size_t) iu_max_request_kb * 1024)
	{
		transfer->body = palloc(request->body_length + 1);
		memcpy(transfer->body, request->body, request->body_length);
		transfer->body_length = request->body_length;
	}
	else if (request->body != NULL)
	{
		transfer->outcome = IU_HTTP_REQUEST_TOO_LARGE;
		transfer->refusal = psprintf("request body of %zu bytes is larger than iu_core.max_request_size (%d kB)",
									 request->body_length, iu_max_request_kb);
	}
	else if (always_has_body(transfer->method))
		transfer->body = pstrdup("");

	transfer->timeout_ms = iu_request_timeout;
	if (request->timeout_ms > 0)
		transfer->timeout_ms = Min(request->timeout_ms, iu_request_timeout);
	transfer->connect_ms = Min(iu_connect_timeout, transfer->timeout_ms);
	transfer->idle_s = request->idle_s;

	/* An answer is handed over as a StringInfo, which ends a byte below 1 GB. */
	transfer->limit = Min((size_t) iu_max_response_kb * 1024, MaxAllocSize - 1024);
	transfer->keep = request->keep > 0 ? Min(request->keep, transfer->limit) : transfer->limit;
	MemoryContextSwitchTo(previous);
	return transfer;
}

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

static uint64 header_bytes_seen = 0;

uint64
iu_transfer_header_bytes(void)
{
	return header_bytes_seen;
}

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

/* A header's value, trimmed, if this is the header; cut to what fits. */
static void
note_header(const char *line, size_t length, const char *name, char *to, size_t size)
{
	size_t		skip = strlen(name);

	if (length <= skip || pg_strncasecmp(line, name, skip) != 0)
		return;
	line += skip;
	length -= skip;
	while (length > 0 && (*line == ' ' || *line == '\t'))
		line++, length--;
	while (length > 0 && strchr(" \t\r\n", line[length - 1]) != NULL)
		length--;
	length = Min(length, size - 1);
	memcpy(to, line, length);
	to[length] = '\0';
}

static size_t
on_header(char *bytes, size_t size, size_t count, void *arg)
{
	IuTransfer *transfer = arg;
	size_t		length = size * count;

	transfer->header_bytes += length;
	header_bytes_seen += length;
	if (transfer->header_bytes > IU_HEADERS_LIMIT)
	{
		/* over HTTP/2 the rest of the header would be in the way of other answers */
		curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
		transfer->too_large = true;
		return 0;
	}
	if (length > 5 && memcmp(bytes, "HTTP/", 5) == 0)
	{
		/* An interim answer came before this one: what it said is over. */
		transfer->content_type[0] = '\0';
		transfer->retry_after[0] = '\0';
	}
	note_header(bytes, length, "content-type:", transfer->content_type, sizeof(transfer->content_type));
	note_header(bytes, length, "retry-after:", transfer->retry_after, sizeof(transfer->retry_after));
	return length;
}

static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *peer)
{
	IuTransfer *transfer = arg;

	if (!iu_egress_allows_address(&peer->addr))
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
 * Right before a request is sent, on a connection kept from an earlier one
 * too, whose address may have been struck off the list in the meantime.
 */
static int
on_connected(void *arg, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
	IuTransfer *transfer = arg;
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
	struct sockaddr_in ipv4 = {.sin_family = AF_INET};

	if (++transfer->sendings > SENDINGS_MAX)
		return CURL_PREREQFUNC_ABORT;
	transfer->local_port = local_port;
	transfer->peer_port = peer_port;
	if (inet_pton(AF_INET, peer_ip, &ipv4.sin_addr) == 1 &&
		iu_egress_allows_address((const struct sockaddr *) &ipv4))
		return CURL_PREREQFUNC_OK;
	if (inet_pton(AF_INET6, peer_ip, &ipv6.sin6_addr) == 1 &&
		iu_egress_allows_address((const struct sockaddr *) &ipv6))
		return CURL_PREREQFUNC_OK;
	transfer->address_tried = false;
	strlcpy(transfer->refused_address, peer_ip, INET6_ADDRSTRLEN);
	return CURL_PREREQFUNC_ABORT;
}

/* ---------- setting up ---------- */

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
 * curl reads "Name:" as "leave this header out" and "Name;" as "send it
 * empty". It is told to leave out the Expect that would cost a second with
 * servers that ignore it, and the form type it would claim for a body.
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
	good &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) transfer->timeout_ms) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) transfer->connect_ms) == CURLE_OK;
	if (transfer->idle_s > 0)
		good &= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long) transfer->idle_s) == CURLE_OK;
	return good;
}

/* Nothing that the environment or the peer says widens what a request may do. */
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
	good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) transfer->limit) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "iu_core/" IU_CORE_VERSION) == CURLE_OK;

	/*
	 * Without the second, a request that is cancelled while its name is being
	 * resolved would wait for the resolver to give up.
	 */
	good &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
	return good;
}

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

bool
iu_transfer_prepare(IuTransfer *transfer, CURL *easy)
{
	transfer->easy = easy;
	return build_header_list(transfer) && set_request(transfer, easy) &&
		set_rules(transfer, easy) && set_callbacks(transfer, easy);
}

/* ---------- the end ---------- */

/*
 * Over HTTP/2 curl collects a header before it hands it over, interim answers
 * included, and ends the connection where that grows beyond its own limit, with
 * nothing to tell it by but these words: nothing else fails in its callbacks.
 * Others on the connection whose answers had begun are lost with it.
 */
static bool
curl_gave_up_header(const IuTransfer *transfer)
{
	return transfer->received == 0 && strstr(transfer->curl_error, "nghttp2_session_mem_recv() returned -902") != NULL;
}

static IuHttpOutcome
classify(const IuTransfer *transfer, CURLcode code)
{
	if (code == CURLE_OK)
		return IU_HTTP_ANSWERED;
	if (transfer->refused_address[0] != '\0' && !transfer->address_tried)
		return IU_HTTP_ADDRESS_REFUSED;
	if (transfer->too_large || transfer->no_memory)
		return IU_HTTP_TOO_LARGE;
	if (curl_gave_up_header(transfer))
		return IU_HTTP_TOO_LARGE;
	if (transfer->sendings > SENDINGS_MAX)
		return IU_HTTP_RESET;
	switch (code)
	{
		case CURLE_FILESIZE_EXCEEDED:
			return IU_HTTP_TOO_LARGE;
		case CURLE_COULDNT_RESOLVE_HOST:
			return IU_HTTP_DNS;
		case CURLE_COULDNT_CONNECT:
			return IU_HTTP_CONNECT;
		case CURLE_OPERATION_TIMEDOUT:
			return IU_HTTP_TIMEOUT;
		case CURLE_GOT_NOTHING:
		case CURLE_PARTIAL_FILE:
		case CURLE_RECV_ERROR:
		case CURLE_SEND_ERROR:
		case CURLE_HTTP2_STREAM:
			return IU_HTTP_RESET;
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_SSL_INVALIDCERTSTATUS:
		case CURLE_SSL_ENGINE_NOTFOUND:
		case CURLE_SSL_ENGINE_SETFAILED:
		case CURLE_USE_SSL_FAILED:
			return IU_HTTP_TLS;
		default:
			return IU_HTTP_PROTOCOL;
	}
}

void
iu_transfer_finish(IuTransfer *transfer, CURLcode code)
{
	curl_off_t	microseconds = 0;
	curl_off_t	sending_at = 0;
	long		status = 0;
	long		os_error = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &microseconds);
	curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &sending_at);
	curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_error);
	transfer->outcome = classify(transfer, code);
	if (transfer->outcome == IU_HTTP_TOO_LARGE && curl_gave_up_header(transfer))
		transfer->header_bytes = Max(transfer->header_bytes, IU_HEADERS_LIMIT + 1);
	transfer->status = (int) status;
	transfer->microseconds = microseconds;
	transfer->connected = sending_at != 0;

	/* Replace curl's words where the plain ones are clearer. */
	if (transfer->sendings > SENDINGS_MAX)
		strlcpy(transfer->curl_error, "the connection broke again when the request was sent once more", CURL_ERROR_SIZE);
	else if (transfer->outcome == IU_HTTP_CONNECT && os_error != 0)
		strlcpy(transfer->curl_error, strerror((int) os_error), CURL_ERROR_SIZE);
	else if (transfer->curl_error[0] == '\0')
		strlcpy(transfer->curl_error, curl_easy_strerror(code), CURL_ERROR_SIZE);
}

void
iu_transfer_release(IuTransfer *transfer)
{
	free(transfer->data);
	transfer->data = NULL;
	curl_slist_free_all(transfer->header_list);
	transfer->header_list = NULL;
}

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
	pfree(transfer);
}
