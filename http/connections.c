/*-------------------------------------------------------------------------
 *
 * connections.c
 *	  Connections that requests share, as they do over HTTP/2.
 *
 * Whether an origin speaks HTTP/2 is known when the first connection to it is
 * made. Until then the other requests of a burst wait for a moment; otherwise
 * each would make a connection of its own. (CURLOPT_PIPEWAIT would not do: curl
 * 7.88 lets those that wait miss their timeouts, and opens the connections to
 * an origin without HTTP/2 one after the other.)
 *
 * A connection that is too old is not used again, so that a change of an
 * address in DNS is followed. curl sees to that where a connection is free for a
 * moment. One that many requests share may never be: then those that come later
 * wait until it is, and if that takes long make a connection of their own.
 *
 * A request over HTTP/1.1 that times out takes its connection with it. Over
 * HTTP/2 the connection stays, for the other requests on it; but if its peer is
 * gone, whatever is sent on it from then on times out as well. So a connection
 * is shut down if nothing comes on it any more, and if something came that
 * cannot be read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/compat.h"
#include "core/settings.h"
#include "http/connections.h"

#define CONNECTING_MS 1000		/* for so long others wait for a connection that is being made */
#define LEAVING_MS 1000			/* for so long others wait until a connection that is too old is free */
#define STREAMS 100				/* curl's CURLMOPT_MAX_CONCURRENT_STREAMS, and what most peers allow */

static bool
same_text(const char *one, const char *other)
{
	return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

/* Whether the two may go over one connection: to the same origin, by the same certificates. */
static bool
same_origin(const IuTransfer *one, const IuTransfer *other)
{
	return strcmp(one->origin, other->origin) == 0 && same_text(one->authorities, other->authorities) &&
		same_text(one->identity, other->identity);
}

/* Two connections may have the same ports, between other addresses. */
static bool
same_ends(const IuEnds *one, const IuEnds *other)
{
	return one->local_port == other->local_port && one->peer_port == other->peer_port &&
		strcmp(one->local, other->local) == 0 && strcmp(one->peer, other->peer) == 0;
}

/* How many transfers go over the connection of this one, itself included. */
static int
count_beside(const dlist_head *running, const IuTransfer *transfer)
{
	int			count = 0;
	dlist_iter	each;

	dlist_foreach(each, (dlist_head *) running)
	{
		const IuTransfer *other = dlist_container(IuTransfer, node, each.cur);

		count += same_ends(&other->ends, &transfer->ends);
	}
	return count;
}

/* What the transfers under way have of an origin. */
typedef struct Origin
{
	const IuTransfer *newest;	/* of those on a connection; NULL: none is on one */
	int			connecting;
	int64		connected_by;	/* when none counts as connecting any more */
	int64		in_use_since;	/* since when their connection has been in use; PG_INT64_MAX: it is not */
} Origin;

static Origin
look_at_origin(const dlist_head *running, const IuTransfer *transfer, int64 now)
{
	Origin		origin = {NULL, 0, 0, PG_INT64_MAX};
	dlist_iter	each;

	dlist_foreach(each, (dlist_head *) running)
	{
		const IuTransfer *other = dlist_container(IuTransfer, node, each.cur);

		if (!same_origin(transfer, other))
			continue;
		origin.in_use_since = Min(origin.in_use_since, other->in_use_since);
		if (other->sendings > 0)
			origin.newest = other;
		else if (other->started_at + CONNECTING_MS > now)
		{
			origin.connecting++;
			origin.connected_by = other->started_at + CONNECTING_MS;
		}
	}
	return origin;
}

/*
 * Whether the connection to an origin is too old for another transfer: 0, or
 * until when that waits for those before it to leave it. Then it makes a
 * connection of its own.
 */
static int64
wait_for_end_of_age(const Origin *origin, IuTransfer *transfer, int64 now)
{
	int64		age = ((int64) iu_connection_max_age + 1) * 1000;	/* curl counts whole seconds */

	if (origin->in_use_since == PG_INT64_MAX || now - origin->in_use_since <= age)
		return 0;
	if (transfer->waits_since == 0)
		transfer->waits_since = now;
	transfer->fresh = transfer->waits_since + LEAVING_MS <= now;
	return transfer->fresh ? 0 : transfer->waits_since + LEAVING_MS;
}

/*
 * Whether a transfer may start: 0, or until when it must wait unless something
 * else happens before. It waits while another one is making a connection to its
 * origin and no connection is known to have room for it, and while others are on
 * a connection that is too old.
 *
 * running: the transfers that have started; now: of iu_clock_ms.
 */
int64
iu_connection_wait(const dlist_head *running, IuTransfer *transfer, int64 now)
{
	Origin		origin;
	int64		until;
	int			room = 0;

	transfer->in_use_since = now;
	if (!iu_transfer_may_share(transfer))
		return 0;
	origin = look_at_origin(running, transfer, now);
	until = wait_for_end_of_age(&origin, transfer, now);
	if (until != 0 || transfer->fresh)
		return until;
	transfer->in_use_since = Min(now, origin.in_use_since);
	if (transfer->waits_for_none)
		return 0;
	if (origin.newest != NULL)
		room = STREAMS - count_beside(running, origin.newest);
	return origin.connecting == 0 || origin.connecting < room ? 0 : origin.connected_by;
}

/*
 * After the end of a transfer: if it had no connection, those that wait for one
 * to its origin no longer do.
 *
 * queued: the transfers that have not started.
 */
void
iu_connection_ended(dlist_head *queued, const IuTransfer *ended)
{
	dlist_iter	each;

	if (ended->sendings > 0 || !iu_transfer_may_share(ended))
		return;
	dlist_foreach(each, queued)
	{
		IuTransfer *transfer = dlist_container(IuTransfer, node, each.cur);

		if (same_origin(transfer, ended))
			transfer->waits_for_none = true;
	}
}

/* Writes an address as curl does, with its port; false if it is of no family that curl connects to. */
static bool
describe_end(const struct sockaddr_storage *address, char *text, int *port)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *) address;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *) address;

	if (address->ss_family != AF_INET && address->ss_family != AF_INET6)
		return false;
	*port = ntohs(address->ss_family == AF_INET ? ipv4->sin_port : ipv6->sin6_port);
	return inet_ntop(address->ss_family,
					 address->ss_family == AF_INET ? (const void *) &ipv4->sin_addr : (const void *) &ipv6->sin6_addr,
					 text, INET6_ADDRSTRLEN) != NULL;
}

/* Whether this is the socket of the connection between these ends. */
static bool
is_socket(int fd, const IuEnds *ends)
{
	struct sockaddr_storage local = {0};
	struct sockaddr_storage peer = {0};
	socklen_t	local_size = sizeof(local);
	socklen_t	peer_size = sizeof(peer);
	IuEnds		found;

	return getsockname(fd, (struct sockaddr *) &local, &local_size) == 0 &&
		getpeername(fd, (struct sockaddr *) &peer, &peer_size) == 0 &&
		describe_end(&local, found.local, &found.local_port) &&
		describe_end(&peer, found.peer, &found.peer_port) &&
		same_ends(&found, ends);
}

/* For how long nothing has come on a socket, ms. */
static int64
silence(int fd)
{
	struct tcp_info info;
	socklen_t	size = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
		return 0;
	return info.tcpi_last_data_recv;
}

/* Shuts the connection of a transfer down if nothing has come on it for so long, ms. */
static void
shut_down(const IuTransfer *ended, int64 patience, int highest_fd)
{
	int			fd;

	for (fd = 0; fd <= highest_fd; fd++)
		if (is_socket(fd, &ended->ends) && silence(fd) >= patience)
			shutdown(fd, SHUT_RDWR);
}

/*
 * After a request that was sent and timed out: shuts its connection down if its
 * peer seems to be gone. While other requests are on it, which may just take
 * longer than this one, it stays until nothing came for as long as any request
 * may take.
 *
 * highest_fd: of curl's sockets.
 */
void
iu_connection_timed_out(const dlist_head *running, const IuTransfer *ended, int highest_fd)
{
	int64		patience = count_beside(running, ended) > 1 ? iu_request_timeout : (iu_clock_ms() - ended->sent_at) / 2;

	shut_down(ended, patience, highest_fd);
}

/*
 * After a request that was sent: shuts its connection down if the answer was not
 * HTTP. Newer versions of curl keep such a connection over HTTP/2, and everything
 * that follows on it fails.
 */
void
iu_connection_broken(const IuTransfer *ended, int highest_fd)
{
	if (ended->outcome == IU_HTTP_PROTOCOL)
		shut_down(ended, 0, highest_fd);
}
