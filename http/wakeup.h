/*-------------------------------------------------------------------------
 *
 * wakeup.h
 *	  One descriptor that becomes readable when a pool has something to do,
 *	  for who waits elsewhere: for its sockets, or because time has passed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_WAKEUP_H
#define IU_WAKEUP_H

typedef struct IuWakeup
{
	int			epoll_fd;		/* holds the other two; -1: not open */
	int			timer_fd;
	int			reserved_fds;
} IuWakeup;

/* Raises; what it opened until then is closed by iu_wakeup_close. */
extern void iu_wakeup_open(IuWakeup *wakeup, int sockets_fd);
extern void iu_wakeup_arm(IuWakeup *wakeup, int64 milliseconds);
extern void iu_wakeup_close(IuWakeup *wakeup);

#endif							/* IU_WAKEUP_H */
