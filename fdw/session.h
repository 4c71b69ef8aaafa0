/*-------------------------------------------------------------------------
 *
 * session.h
 *	  One user's session with one foreign server: requests go out, with the
 *	  user's secret, and answers come.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SESSION_H
#define IU_SESSION_H

#include "fdw/nulls.h"
#include "fdw/pool.h"
#include "fdw/table.h"
#include "portability/instr_time.h"

typedef struct IuSession
{
	MemoryContext context;		/* of all it holds, the connections included */
	const IuServer *server;
	Oid			user;			/* whose secret the requests carry */
	IuPool	   *pool;			/* NULL until something is asked */
	int			connections;	/* that the pool will have */
	const char **headers;		/* NULL until something is asked */
	const char *secret;			/* NULL: none */
	int64		requests;
	int64		bytes;			/* of answers' bodies */
	int64		waited_us;		/* in iu_session_wait */

	/*
	 * For how long the network was attended to, so that an answer would have
	 * been read when it came: the time in iu_session_wait, and the time that
	 * somebody else waited for the descriptor of iu_session_descriptor.
	 */
	int64		attended_us;
	instr_time	watched_from;	/* since when somebody waits for the descriptor; zero: nobody does */
} IuSession;

extern void iu_session_open(IuSession *session, MemoryContext context, const IuServer *server, Oid user);
extern void iu_session_expect(IuSession *session, int requests);
extern void iu_session_send(IuSession *session, const IuFetch *fetch, void *owner);
extern int	iu_session_seconds(const IuSession *session);
extern void iu_session_start(IuSession *session);
extern int	iu_session_pending(const IuSession *session);
extern IuHttpAnswer *iu_session_wait(IuSession *session, bool patient);
extern int	iu_session_descriptor(IuSession *session);
extern const IuJson *iu_session_document(const IuHttpAnswer *answer, IuNulls nulls, bool *marked, char **problem);
extern void iu_session_close(IuSession *session);

#endif							/* IU_SESSION_H */
