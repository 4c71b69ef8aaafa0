/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  Finds out what became of a request: outcome, numbers, a sentence for
 *	  people.
 *
 * Whatever came from outside is made harmless here, and nothing that may hold
 * a token (path, query, header) gets into a sentence.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "core/clock.h"
#include "core/compat.h"
#include "core/text.h"
#include "http/outcome.h"

/* ---------- when curl is through with it ---------- */

/*
 * Whether curl gave up because of a header that is too large. Over HTTP/2 curl
 * collects a header, those of interim answers included, before it hands it
 * over, and where that grows beyond curl's own limit it ends the connection;
 * other requests on it whose answers had begun are lost. Nothing but these words
 * tells it, and nothing else than the header fails with them.
 */
static bool
curl_gave_up_header(const IuTransfer *transfer)
{
	return transfer->received == 0 && strstr(transfer->curl_error, "nghttp2_session_mem_recv() returned -902") != NULL;
}

/*
 * Whether the peer broke off by an alert of TLS. By TLS 1.3 one that does not take
 * a certificate says so after the handshake, when the request is sent or its
 * answer waited for; curl has OpenSSL's words for it.
 */
static bool
is_alert(const IuTransfer *transfer, CURLcode code)
{
	return (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR) && transfer->received == 0 &&
		strstr(transfer->curl_error, "SSL routines") != NULL && strstr(transfer->curl_error, " alert ") != NULL;
}

/* The outcome of a request that curl is through with. */
static IuHttpOutcome
classify(const IuTransfer *transfer, CURLcode code)
{
	if (code == CURLE_OK)
		return IU_HTTP_ANSWERED;
	if (transfer->refused_address[0] != '\0' && !transfer->address_tried)
		return IU_HTTP_ADDRESS_REFUSED;
	if (transfer->too_large || transfer->no_memory)
		return IU_HTTP_TOO_LARGE;
	if (curl_gave_up_header(transfer))
		return IU_HTTP_TOO_LARGE;
	if (transfer->sendings > IU_SENDINGS_MAX)
		return IU_HTTP_RESET;
	if (is_alert(transfer, code))
		return IU_HTTP_TLS;
	switch (code)
	{
		case CURLE_FILESIZE_EXCEEDED:
			return IU_HTTP_TOO_LARGE;
		case CURLE_COULDNT_RESOLVE_HOST:
			return IU_HTTP_DNS;
		case CURLE_COULDNT_CONNECT:
			return IU_HTTP_CONNECT;
		case CURLE_OPERATION_TIMEDOUT:
			return IU_HTTP_TIMEOUT;
		case CURLE_GOT_NOTHING:
		case CURLE_PARTIAL_FILE:
		case CURLE_RECV_ERROR:
		case CURLE_SEND_ERROR:
		case CURLE_HTTP2_STREAM:
			return IU_HTTP_RESET;
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_SSL_INVALIDCERTSTATUS:
		case CURLE_SSL_ENGINE_NOTFOUND:
		case CURLE_SSL_ENGINE_SETFAILED:
		case CURLE_USE_SSL_FAILED:
			return IU_HTTP_TLS;
		default:
			return IU_HTTP_PROTOCOL;
	}
}

/*
 * Takes from curl's handle what it knows at the end of a request. Raises
 * nothing, pallocs nothing.
 *
 * code: how the transfer ended, as curl says it.
 */
void
iu_outcome_note(IuTransfer *transfer, CURLcode code)
{
	curl_off_t	microseconds = 0;
	long		status = 0;
	long		os_error = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &microseconds);
	curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_error);
	transfer->outcome = classify(transfer, code);
	if (transfer->outcome == IU_HTTP_TOO_LARGE && curl_gave_up_header(transfer))
		transfer->header_bytes = Max(transfer->header_bytes, IU_HEADERS_LIMIT + 1);
	transfer->status = (int) status;
	/* Of what curl was not through with it does not know how long it took. */
	transfer->microseconds = code == CURLE_OPERATION_TIMEDOUT
		? (iu_clock_ms() - transfer->started_at) * 1000
		: microseconds;

	/* plain words where they are clearer than curl's */
	if (transfer->sendings > IU_SENDINGS_MAX)
		strlcpy(transfer->curl_error, "the connection broke again when the request was sent once more",
				CURL_ERROR_SIZE);
	else if (transfer->outcome == IU_HTTP_CONNECT && os_error != 0)
		strlcpy(transfer->curl_error, strerror((int) os_error), CURL_ERROR_SIZE);
	else if (transfer->curl_error[0] == '\0')
		strlcpy(transfer->curl_error, curl_easy_strerror(code), CURL_ERROR_SIZE);
}

/* ---------- for the caller ---------- */

/* A sentence for people, palloc'd; NULL if answered. It names no more of the URL than its origin. */
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
			if (transfer->sendings == 0)
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

/*
 * The value of Retry-After in seconds: it is a number, or a date, which is later
 * than the answer's own by so much, whatever the time is here. -1 where it is
 * neither.
 */
static int
parse_retry_after(const IuTransfer *transfer)
{
	const char *value = transfer->retry_after;
	time_t		until;
	time_t		from;

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
	from = curl_getdate(transfer->date, NULL);
	if (from == (time_t) -1)
		from = time(NULL);
	return (int) Min(Max((int64) until - (int64) from, 0), PG_INT32_MAX);
}

/* The answer to the caller, palloc'd in the current context. */
IuHttpAnswer *
iu_outcome_answer(const IuTransfer *transfer)
{
	IuHttpAnswer *answer = palloc0(sizeof(IuHttpAnswer));

	answer->owner = transfer->owner;
	answer->outcome = transfer->outcome;
	answer->status = transfer->status;
	answer->retry_after = parse_retry_after(transfer);
	answer->microseconds = transfer->microseconds;
	answer->body.data = palloc(transfer->length + 1);
	answer->body.len = transfer->length;
	answer->body.maxlen = transfer->length + 1;
	if (transfer->length > 0)
		memcpy(answer->body.data, transfer->data, transfer->length);
	answer->body.data[transfer->length] = '\0';
	if (transfer->content_type[0] != '\0')
		answer->content_type = iu_text_ascii(transfer->content_type);
	if (transfer->encoding[0] != '\0' && pg_strcasecmp(transfer->encoding, "identity") != 0)
		answer->encoding = iu_text_ascii(transfer->encoding);
	answer->error = describe(transfer);
	return answer;
}
