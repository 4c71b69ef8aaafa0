/*-------------------------------------------------------------------------
 *
 * failure.h
 *	  What went wrong with a request, in words and SQLSTATE.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_FAILURE_H
#define IU_FAILURE_H

#include "fdw/options.h"
#include "http/client.h"

/*
 * For every answer but a 200 that is JSON. problem says why a 200 was not
 * JSON. Text that quotes the secret (may be NULL) is left out.
 */
extern void iu_failure_of_answer(IuFailure *failure, const IuRemote *remote, const IuFetch *fetch,
								 const IuHttpAnswer *answer, const IuJson *document,
								 const char *problem, const char *secret);

/* key: the collection it is about; NULL: the listing. */
extern void iu_failure_raise(const IuServer *server, const char *key, const IuFailure *failure,
							 const char *secret);

/* What goes into a message and may hold what the remote said: the text, unless it quotes the secret. */
extern const char *iu_failure_hide(const char *text, const char *secret);

#endif							/* IU_FAILURE_H */
