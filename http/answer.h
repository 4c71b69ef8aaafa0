/*-------------------------------------------------------------------------
 *
 * answer.h
 *	  What became of an HTTP request.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_ANSWER_H
#define IU_ANSWER_H

#include "lib/stringinfo.h"

/* answer.c has a word for each, in the same order. */
typedef enum IuHttpOutcome
{
	IU_HTTP_ANSWERED,			/* a complete answer, whatever its status */
	IU_HTTP_ORIGIN_REFUSED,		/* not in iu_core.allowed_origins: nothing was connected */
	IU_HTTP_ADDRESS_REFUSED,	/* not in iu_core.allowed_networks: nothing was connected */
	IU_HTTP_DNS,				/* the name did not resolve */
	IU_HTTP_CONNECT,			/* refused or unreachable */
	IU_HTTP_TLS,				/* handshake or certificate */
	IU_HTTP_TIMEOUT,
	IU_HTTP_RESET,				/* the peer closed before the answer was complete */
	IU_HTTP_TOO_LARGE,			/* answer over the limit: cut there; status may be set */
	IU_HTTP_PROTOCOL,			/* what came was not HTTP */
	IU_HTTP_REQUEST_TOO_LARGE	/* over iu_core.max_request_size: nothing was connected */
} IuHttpOutcome;

typedef struct IuHttpAnswer
{
	void	   *owner;			/* as in the request */
	IuHttpOutcome outcome;
	int			status;			/* 0 unless a status line came */
	int			retry_after;	/* seconds, -1 where the answer named none */
	int64		microseconds;	/* from start to end, waiting to be started excluded */
	StringInfoData body;		/* as far as it came, within the limit and what is wanted of it */
	char	   *content_type;	/* printable ASCII; NULL where absent */
	char	   *encoding;		/* Content-Encoding, e.g. gzip, which nobody asked for; NULL where absent */
	char	   *error;			/* a sentence for people: no path, no query, no header; NULL if answered */
} IuHttpAnswer;

extern const char *iu_http_outcome_code(IuHttpOutcome outcome);
extern void iu_http_answer_free(IuHttpAnswer *answer);

#endif							/* IU_ANSWER_H */
