/*-------------------------------------------------------------------------
 *
 * wakeup.c
 *	  One descriptor that becomes readable when a pool has something to do.
 *
 * An Append node waits for descriptors and for nothing else, so the time at
 * which curl wants to be called must be a descriptor, too: a timer. It is in one
 * epoll descriptor with that of the pool's sockets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/compat.h"
#include "http/wakeup.h"
#include "storage/fd.h"

/* Adds a descriptor to those that are waited for; raises if it cannot. */
static void
watch_descriptor(IuWakeup *wakeup, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(wakeup->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not watch a descriptor: %m")));
}

/*
 * Opens the descriptors. Raises; what it opened until then is closed by
 * iu_wakeup_close.
 *
 * wakeup: zeroed, with descriptors of -1; sockets_fd: readable when something has
 * happened on the pool's sockets.
 */
void
iu_wakeup_open(IuWakeup *wakeup, int sockets_fd)
{
	while (wakeup->reserved_fds < 2 && AcquireExternalFD())
		wakeup->reserved_fds++;
	if (wakeup->reserved_fds < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too few file descriptors for HTTP connections"),
				 errhint("Raise max_files_per_process.")));
	wakeup->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	wakeup->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (wakeup->epoll_fd < 0 || wakeup->timer_fd < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not create an epoll descriptor and its timer: %m")));
	watch_descriptor(wakeup, sockets_fd);
	watch_descriptor(wakeup, wakeup->timer_fd);
}

/* Makes it readable after so long from now, and not because of any time before. */
void
iu_wakeup_arm(IuWakeup *wakeup, int64 milliseconds)
{
	struct itimerspec due = {0};

	due.it_value.tv_sec = milliseconds / 1000;
	due.it_value.tv_nsec = (milliseconds % 1000) * 1000000;
	if (milliseconds <= 0)
		due.it_value.tv_nsec = 1;	/* 0 would disarm it */
	timerfd_settime(wakeup->timer_fd, 0, &due, NULL);
}

/* Closes what is open. Raises nothing. */
void
iu_wakeup_close(IuWakeup *wakeup)
{
	if (wakeup->timer_fd >= 0)
		close(wakeup->timer_fd);
	if (wakeup->epoll_fd >= 0)
		close(wakeup->epoll_fd);
	wakeup->timer_fd = wakeup->epoll_fd = -1;
	for (; wakeup->reserved_fds > 0; wakeup->reserved_fds--)
		ReleaseExternalFD();
}
