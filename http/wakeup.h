/*-------------------------------------------------------------------------
 *
 * wakeup.h
 *	  One descriptor that becomes readable when a pool has something to do: on
 *	  its sockets, or because time has passed. Only for this floor.
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

extern void iu_wakeup_open(IuWakeup *wakeup, int sockets_fd);
extern void iu_wakeup_arm(IuWakeup *wakeup, int64 milliseconds);
extern void iu_wakeup_close(IuWakeup *wakeup);

#endif							/* IU_WAKEUP_H */
