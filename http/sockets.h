/*-------------------------------------------------------------------------
 *
 * sockets.h
 *	  libcurl's sockets in one epoll descriptor. Only for this floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SOCKETS_H
#define IU_SOCKETS_H

#include "core/compat.h"

/* What is known of a descriptor. */
typedef struct IuSocket
{
	bool		ours;			/* its end is told by iu_sockets_forget */
	bool		wanted;			/* curl wants to hear of it, and has it for a connection */
	bool		shared;			/* that requests may share */
	bool		watched;		/* it is in the epoll descriptor, */
	uint32		events;			/* for these events */
} IuSocket;

typedef struct IuSockets
{
	int			epoll_fd;		/* -1: not open */
	int			highest_fd;		/* of curl's sockets so far */
	IuSocket   *known;			/* by descriptor; malloc'd */
	int			count;
	uint64		header_bytes;	/* that came over all of them so far */
} IuSockets;

extern void iu_sockets_open(IuSockets *sockets);
extern void iu_sockets_close(IuSockets *sockets);
extern void iu_sockets_note(IuSockets *sockets, int fd);
extern void iu_sockets_forget(IuSockets *sockets, int fd);
extern IuSocket *iu_sockets_find(IuSockets *sockets, int fd);
extern int	iu_sockets_watch(IuSockets *sockets, int fd, uint32 events);
extern void iu_sockets_watch_no_more(IuSockets *sockets, int fd);

#endif							/* IU_SOCKETS_H */
