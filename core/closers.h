/*-------------------------------------------------------------------------
 *
 * closers.h
 *	  Whether there is a process that would close a gate.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CLOSERS_H
#define IU_CLOSERS_H

/* Why nothing would close a gate. */
typedef struct IuNoCloser
{
	const char *name;			/* constraint name of the refusal */
	char	   *why;			/* palloc'd, for people */
	const char *hint;
} IuNoCloser;

extern bool iu_nobody_closes(IuNoCloser *problem);

#endif							/* IU_CLOSERS_H */
