/*-------------------------------------------------------------------------
 *
 * line.h
 *	  One user's line to one foreign server: requests go out and answers come.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_LINE_H
#define IU_LINE_H

#include "fdw/options.h"
#include "fdw/pool.h"

typedef struct IuLine
{
	MemoryContext context;		/* the line's memory, the connections included */
	const IuServer *server;
	Oid			user;
	IuPool	   *pool;			/* NULL until something is asked */
	int			connections;
	const char **headers;
	const char *secret;			/* NULL: none */
	int64		requests;
	int64		bytes;			/* of answers' bodies */
	int64		waited_us;
} IuLine;

extern void iu_line_open(IuLine *line, MemoryContext context, const IuServer *server, Oid user);

/* Before the first request: how many of them are likely at once, at most. */
extern void iu_line_expect(IuLine *line, int requests);

/* Goes out with the next wait, or with iu_line_start. The owner comes back with the answer. */
extern void iu_line_send(IuLine *line, const IuFetch *fetch, void *owner);
extern void iu_line_start(IuLine *line);

/* Sent, and not yet handed back. */
extern int	iu_line_pending(const IuLine *line);

/*
 * The next answer, in the current memory context; NULL if a latch came first,
 * or if it is not there yet and nobody wants to wait.
 */
extern IuHttpAnswer *iu_line_wait(IuLine *line, bool patient);

/* Readable once it is worth to look again. */
extern int	iu_line_descriptor(IuLine *line);

/* The body as JSON, whatever the status; NULL if it is none, and then *problem says why. */
extern const IuJson *iu_line_document(const IuHttpAnswer *answer, char **problem);

/* Keeps the connections for the next one, if nothing is outstanding. */
extern void iu_line_close(IuLine *line);

#endif							/* IU_LINE_H */
