/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What became of an HTTP request. (outcome.c finds it out.)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "http/answer.h"

static const char *const outcome_codes[] = {
	"answered", "origin_refused", "address_refused", "dns_failed", "connect_failed",
	"tls_failed", "timed_out", "connection_lost", "response_too_large", "not_http",
	"request_too_large"
};

StaticAssertDecl(lengthof(outcome_codes) == IU_HTTP_REQUEST_TOO_LARGE + 1,
				 "an outcome lacks its code");

/* A stable word for an outcome, for tables and messages, e.g. "connect_failed". */
const char *
iu_http_outcome_code(IuHttpOutcome outcome)
{
	return outcome_codes[outcome];
}

/* Frees an answer and all that belongs to it. */
void
iu_http_answer_free(IuHttpAnswer *answer)
{
	pfree(answer->body.data);
	if (answer->content_type != NULL)
		pfree(answer->content_type);
	if (answer->encoding != NULL)
		pfree(answer->encoding);
	if (answer->error != NULL)
		pfree(answer->error);
	pfree(answer);
}
