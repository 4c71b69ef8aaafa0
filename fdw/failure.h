/*-------------------------------------------------------------------------
 *
 * failure.h
 *	  What went wrong with a request to a remote, in words, SQLSTATE and
 *	  constraint name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_FAILURE_H
#define IU_FAILURE_H

#include "fdw/table.h"
#include "http/client.h"

extern void iu_failure_of_answer(IuFailure *failure, const IuRemote *remote, const IuFetch *fetch,
								 const IuHttpAnswer *answer, const IuJson *document,
								 const char *problem, const char *secret);
extern void iu_failure_raise(const IuServer *server, const char *key, const IuFailure *failure,
							 const char *secret);
extern bool iu_failure_hides(const char *text, const char *secret);
extern const char *iu_failure_hide(const char *text, const char *secret);

#endif							/* IU_FAILURE_H */
