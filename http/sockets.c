/*-------------------------------------------------------------------------
 *
 * sockets.c
 *	  libcurl's sockets in one epoll descriptor.
 *
 * What is here may be called in libcurl's callbacks, but for iu_sockets_open: no
 * palloc, no ereport.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "http/sockets.h"

/* Opens the epoll descriptor. Raises. sockets: zeroed, with an epoll_fd of -1. */
void
iu_sockets_open(IuSockets *sockets)
{
	sockets->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sockets->epoll_fd < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not create an epoll descriptor: %m")));
}

/* Closes what is open. */
void
iu_sockets_close(IuSockets *sockets)
{
	free(sockets->known);
	if (sockets->epoll_fd >= 0)
		close(sockets->epoll_fd);
}

/* Makes room to note something of a descriptor. False if there is no memory. */
static bool
make_room(IuSockets *sockets, int fd)
{
	int			size = Max(fd + 1, sockets->count * 2);
	IuSocket   *grown;

	if (fd < sockets->count)
		return true;
	grown = realloc(sockets->known, size * sizeof(IuSocket));
	if (grown == NULL)
		return false;
	memset(grown + sockets->count, 0, (size - sockets->count) * sizeof(IuSocket));
	sockets->known = grown;
	sockets->count = size;
	return true;
}

/* A socket was made, which iu_sockets_forget will hear of when it is closed. */
void
iu_sockets_note(IuSockets *sockets, int fd)
{
	static const IuSocket made = {.ours = true};

	if (make_room(sockets, fd))
		sockets->known[fd] = made;
}

/* A socket is about to be closed, which takes it out of the epoll descriptor as well. */
void
iu_sockets_forget(IuSockets *sockets, int fd)
{
	static const IuSocket none = {false};

	if (fd < sockets->count)
		sockets->known[fd] = none;
}

/* What is known of a descriptor; NULL if there is no memory. */
IuSocket *
iu_sockets_find(IuSockets *sockets, int fd)
{
	return make_room(sockets, fd) ? &sockets->known[fd] : NULL;
}

/* Has the epoll descriptor tell of these events of a descriptor that was found. 0, or -1 and errno. */
int
iu_sockets_watch(IuSockets *sockets, int fd, uint32 events)
{
	IuSocket   *socket = &sockets->known[fd];
	struct epoll_event event = {.events = events, .data.fd = fd};
	int			how = socket->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (socket->ours && socket->watched && socket->events == events)
		return 0;
	sockets->highest_fd = Max(sockets->highest_fd, fd);
	socket->watched = true;
	socket->events = events;
	if (epoll_ctl(sockets->epoll_fd, how, fd, &event) == 0)
		return 0;
	/* one that is not ours may have been closed, and another may have its number */
	return how == EPOLL_CTL_MOD && errno == ENOENT ? epoll_ctl(sockets->epoll_fd, EPOLL_CTL_ADD, fd, &event) : -1;
}

/* Of a descriptor that was found. */
void
iu_sockets_watch_no_more(IuSockets *sockets, int fd)
{
	struct epoll_event event = {0};

	sockets->known[fd].watched = false;
	epoll_ctl(sockets->epoll_fd, EPOLL_CTL_DEL, fd, &event);
}
