/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What became of a request, told to the caller: outcome, numbers, a
 *	  sentence for people.
 *
 * Whatever came from outside is made harmless here, and nothing that may hold
 * a token (path, query, header) gets into a sentence.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "core/compat.h"
#include "core/text.h"
#include "http/transfer.h"

static const char *const iu_http_outcome_codes[] = {
	"answered", "origin_refused", "address_refused", "dns_failed", "connect_failed",
	"tls_failed", "timed_out", "connection_lost", "response_too_large", "not_http",
	"request_too_large"
};

StaticAssertDecl(lengthof(iu_http_outcome_codes) == IU_HTTP_REQUEST_TOO_LARGE + 1,
				 "an outcome lacks its code");

const char *
iu_http_outcome_code(IuHttpOutcome outcome)
{
	return iu_http_outcome_codes[outcome];
}

/* A sentence for people. It names the origin only: paths and queries may hold tokens. */
static char *
describe(const IuTransfer *transfer)
{
	const char *detail = iu_text_ascii(transfer->curl_error);
	const char *origin = transfer->origin;

	switch (transfer->outcome)
	{
		case IU_HTTP_ANSWERED:
			return NULL;
		case IU_HTTP_ORIGIN_REFUSED:
		case IU_HTTP_REQUEST_TOO_LARGE:
			return pstrdup(transfer->refusal);
		case IU_HTTP_ADDRESS_REFUSED:
			return psprintf("address %s of origin \"%s\" is not public and not in iu_core.allowed_networks",
							iu_text_ascii(transfer->refused_address), origin);
		case IU_HTTP_DNS:
			return psprintf("host name of origin \"%s\" could not be resolved", origin);
		case IU_HTTP_CONNECT:
			return psprintf("could not connect to origin \"%s\": %s", origin, detail);
		case IU_HTTP_TLS:
			return psprintf("no trusted TLS connection to origin \"%s\": %s", origin, detail);
		case IU_HTTP_TIMEOUT:
			if (!transfer->connected)
				return psprintf("no connection to origin \"%s\" within %d ms", origin, transfer->connect_ms);
			return psprintf("no complete answer from origin \"%s\" within %d ms", origin, transfer->timeout_ms);
		case IU_HTTP_RESET:
			return psprintf("origin \"%s\" broke off before the answer was complete: %s", origin, detail);
		case IU_HTTP_TOO_LARGE:
			if (transfer->no_memory)
				return psprintf("there is no memory for the answer of origin \"%s\"", origin);
			if (transfer->header_bytes > IU_HEADERS_LIMIT)
				return psprintf("header of the answer of origin \"%s\" is larger than %d kB",
								origin, IU_HEADERS_LIMIT / 1024);
			return psprintf("answer of origin \"%s\" is larger than iu_core.max_response_size (%zu kB)",
							origin, transfer->limit / 1024);
		case IU_HTTP_PROTOCOL:
			return psprintf("origin \"%s\" did not answer in HTTP: %s", origin, detail);
	}
	return psprintf("request to origin \"%s\" failed", origin);
}

/* Seconds or a date; -1 where there is neither. */
static int
parse_retry_after(const char *value)
{
	time_t		until;

	if (value[0] == '\0')
		return -1;
	if (strspn(value, "0123456789") == strlen(value))
	{
		double		seconds = strtod(value, NULL);

		return seconds > PG_INT32_MAX ? PG_INT32_MAX : (int) seconds;
	}
	until = curl_getdate(value, NULL);
	if (until == (time_t) -1)
		return -1;
	return (int) Min(Max((int64) until - (int64) time(NULL), 0), PG_INT32_MAX);
}

IuHttpAnswer *
iu_transfer_answer(const IuTransfer *transfer)
{
	IuHttpAnswer *answer = palloc0(sizeof(IuHttpAnswer));

	answer->owner = transfer->owner;
	answer->outcome = transfer->outcome;
	answer->status = transfer->status;
	answer->retry_after = parse_retry_after(transfer->retry_after);
	answer->microseconds = transfer->microseconds;
	answer->body.data = palloc(transfer->length + 1);
	answer->body.len = transfer->length;
	answer->body.maxlen = transfer->length + 1;
	if (transfer->length > 0)
		memcpy(answer->body.data, transfer->data, transfer->length);
	answer->body.data[transfer->length] = '\0';
	if (transfer->content_type[0] != '\0')
		answer->content_type = iu_text_ascii(transfer->content_type);
	answer->error = describe(transfer);
	return answer;
}

void
iu_http_answer_free(IuHttpAnswer *answer)
{
	pfree(answer->body.data);
	if (answer->content_type != NULL)
		pfree(answer->content_type);
	if (answer->error != NULL)
		pfree(answer->error);
	pfree(answer);
}
