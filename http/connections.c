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

#include "core/compat.h"
#include "core/settings.h"
#include "http/connections.h"

#define CONNECTING_MS 1000		/* for so long others wait for a connection that is being made */
#define STREAMS 100				/* curl's CURLMOPT_MAX_CONCURRENT_STREAMS, and what most peers allow */

static bool
same_origin(const IuTransfer *one, const IuTransfer *other)
{
	return strcmp(one->origin, other->origin) == 0;
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

		count += other->local_port == transfer->local_port && other->peer_port == transfer->peer_port;
	}
	return count;
}

/*
 * Whether a transfer may start: 0, or until when it must wait unless something
 * else happens before. It waits while another one is making a connection to its
 * origin and no connection is known to have room for it.
 *
 * running: the transfers that have started; now: of iu_multi_now.
 */
int64
iu_connection_wait(const dlist_head *running, const IuTransfer *transfer, int64 now)
{
	const IuTransfer *newest = NULL;	/* of those on a connection */
	int			connecting = 0;
	int			room = 0;
	int64		until = 0;
	dlist_iter	each;

	if (transfer->waits_for_none || !iu_transfer_may_share(transfer))
		return 0;
	dlist_foreach(each, (dlist_head *) running)
	{
		const IuTransfer *other = dlist_container(IuTransfer, node, each.cur);

		if (!same_origin(transfer, other))
			continue;
		if (other->sendings > 0)
			newest = other;
		else if (other->started_at + CONNECTING_MS > now)
		{
			connecting++;
			until = other->started_at + CONNECTING_MS;
		}
	}
	if (newest != NULL)
		room = STREAMS - count_beside(running, newest);
	return connecting == 0 || connecting < room ? 0 : until;
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

/* Whether this is the socket of a connection between these ports. (The port is at the same place in either family.) */
static bool
is_socket(int fd, int local_port, int peer_port)
{
	struct sockaddr_in6 address = {0};
	socklen_t	size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *) &address, &size) != 0 || ntohs(address.sin6_port) != local_port ||
		(address.sin6_family != AF_INET && address.sin6_family != AF_INET6))
		return false;
	size = sizeof(address);
	return getpeername(fd, (struct sockaddr *) &address, &size) == 0 && ntohs(address.sin6_port) == peer_port;
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
		if (is_socket(fd, ended->local_port, ended->peer_port) && silence(fd) >= patience)
			shutdown(fd, SHUT_RDWR);
}

/* For how long a request that has ended was under way once it was sent, ms. */
static int64
sent_for(CURL *easy)
{
	curl_off_t	total = 0;
	curl_off_t	sending_at = 0;

	curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &total);
	curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &sending_at);
	return (total - sending_at) / 1000;
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
	shut_down(ended, count_beside(running, ended) > 1 ? iu_request_timeout : sent_for(ended->easy) / 2, highest_fd);
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
