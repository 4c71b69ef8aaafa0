/*-------------------------------------------------------------------------
 *
 * wakeup.c
 *	  One descriptor that becomes readable when a pool has something to do.
 *
 * An Append node waits for descriptors and for nothing else, so the time that
 * curl wants to be called at must be one: a timer beside the pool's sockets, in
 * an epoll descriptor of their own.
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

static void
watch(IuWakeup *wakeup, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(wakeup->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not watch a descriptor: %m")));
}

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
	watch(wakeup, sockets_fd);
	watch(wakeup, wakeup->timer_fd);
}

/* From now on; what was armed before is forgotten, and so is what had passed. */
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
