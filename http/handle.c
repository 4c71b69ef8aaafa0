/*-------------------------------------------------------------------------
 *
 * handle.c
 *	  What libcurl is told of a request, and what it calls while it carries it
 *	  out.
 *
 * The functions that curl calls neither palloc nor raise: an error would jump
 * across curl's own frames. They note what happened and tell curl to stop, and
 * outcome.c makes a sentence of it afterwards.
 *
 * A handle that has carried out a POST of the plain kind keeps what all of that
 * kind have in common, so that the next one is told the rest only: that is a
 * tenth of what a delivery costs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/compat.h"
#include "core/settings.h"
#include "http/address.h"
#include "http/handle.h"
#include "http/sockets.h"
#include "http/trust.h"

#define CONNECT_GRACE_MS 1000	/* curl gives up so much later than we do */
#define FIRST_CAPACITY 8192		/* bytes of an answer's body that there is room for at first */

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
	transfer->sockets->header_bytes += length;
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
	int			fd;

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
	fd = socket(peer->family, peer->socktype | SOCK_CLOEXEC, peer->protocol);
	if (fd >= 0)
		iu_sockets_note(transfer->sockets, fd);
	return fd;
}

/* Closes a socket of on_open_socket. arg: where sockets are known. */
static int
on_close_socket(void *arg, curl_socket_t fd)
{
	iu_sockets_forget(arg, fd);
	return close(fd);
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
	/* where this connection was kept and breaks, curl asks again, and another kept one may be as dead */
	curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
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

/*
 * Whether a transfer is a POST of the plain kind: what it asks for beyond is
 * told to curl by tell_request and tell_where, and nothing else.
 */
bool
iu_handle_is_plain(const IuTransfer *transfer)
{
	return transfer->body != NULL && strcmp(transfer->method, "POST") == 0 && transfer->authorities == NULL &&
		transfer->identity == NULL && transfer->idle_s == 0 && !transfer->fresh;
}

/* Tells curl what is asked. False if it cannot be set. */
static bool
tell_request(IuTransfer *transfer, CURL *easy)
{
	long		version = iu_transfer_may_share(transfer) ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
	bool		good = true;

	good &= curl_easy_setopt(easy, CURLOPT_URL, transfer->url) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK;
	if (transfer->body != NULL)
	{
		good &= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) transfer->body_length) == CURLE_OK;
		good &= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body) == CURLE_OK;
	}
	good &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long) transfer->fresh) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) transfer->limit) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long) iu_connection_max_age) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, (long) Min(iu_connection_max_age, 60)) == CURLE_OK;
	return good;
}

/* Tells curl what to hand to the functions that it calls: nothing where there is no transfer. */
static bool
tell_where(IuTransfer *transfer, CURL *easy)
{
	bool		good = true;

	good &= curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer == NULL ? NULL : transfer->curl_error) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer) == CURLE_OK;
	return good;
}

/* Tells curl what kind of request it is. False if it cannot be set. */
static bool
tell_kind(IuTransfer *transfer, CURL *easy)
{
	bool		good = true;

	if (transfer->body != NULL)
		good &= curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
	if (strcmp(transfer->method, "HEAD") == 0)
		good &= curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
	else
		good &= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, transfer->method) == CURLE_OK;
	if (transfer->idle_s > 0)
		good &= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long) transfer->idle_s) == CURLE_OK;
	return good && iu_trust_prepare(easy, transfer->authorities, transfer->identity);
}

/* Tells curl the rules: nothing that the environment or the peer says widens what a request may do. */
static bool
tell_rules(CURL *easy)
{
	bool		good = true;

	good &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "iu_core/" IU_CORE_VERSION) == CURLE_OK;

	good &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;

	/* else a request that is cancelled while its name is being resolved waits for the resolver to give up */
	good &= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
	return good;
}

/* Tells curl which functions to call. */
static bool
tell_callbacks(IuSockets *sockets, CURL *easy)
{
	bool		good = true;

	good &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, sockets) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected) == CURLE_OK;
	return good;
}

/*
 * Sets a handle up for the transfer. False if there is no memory. Raises
 * nothing.
 *
 * kept: the handle was put back by iu_handle_put_back, for a plain transfer; else
 * it is new, or was reset.
 */
bool
iu_handle_prepare(IuSockets *sockets, IuTransfer *transfer, CURL *easy, bool kept)
{
	transfer->easy = easy;
	transfer->sockets = sockets;
	iu_transfer_set_connect_limit(transfer);
	return (kept || (tell_kind(transfer, easy) && tell_rules(easy) && tell_callbacks(sockets, easy))) &&
		tell_request(transfer, easy) && tell_where(transfer, easy);
}

/*
 * After a transfer has ended: whether its handle keeps what it was told, for
 * another plain one; else it was reset. Raises nothing.
 */
bool
iu_handle_put_back(const IuTransfer *transfer, CURL *easy)
{
	/* on_header may have told curl more about one that was too large */
	bool		kept = iu_handle_is_plain(transfer) && !transfer->too_large && tell_where(NULL, easy);

	if (!kept)
		curl_easy_reset(easy);
	return kept;
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
