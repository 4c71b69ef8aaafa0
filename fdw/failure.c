/*-------------------------------------------------------------------------
 *
 * failure.c
 *	  What went wrong with a request to a remote, in words, SQLSTATE and
 *	  constraint name.
 *
 * All remotes share one mapping: a request that this server refused to send is
 * HV00L, one that got no answer HV00N, and an answer that is no success gets
 * the SQLSTATE that tells the reader whom to ask. The constraint name says more
 * exactly what went wrong, to programs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/text.h"
#include "fdw/failure.h"
#include "mb/pg_wchar.h"

#define EXCERPT 200				/* bytes of what a remote said that a message quotes */
#define LEFT_OUT "(left out: it quotes the secret)"

typedef struct Mapping
{
	int			number;			/* outcome or HTTP status; -1: any other */
	int			sqlstate;
	const char *constraint;
	const char *reason;
	const char *hint;
} Mapping;

static const Mapping outcomes[] = {
	{IU_HTTP_ORIGIN_REFUSED, ERRCODE_FDW_UNABLE_TO_CREATE_EXECUTION, "iu_remote_origin",
		"its origin is not allowed",
	"A superuser can add the scheme, host and port of the server's url to iu_core.allowed_origins."},
	{IU_HTTP_ADDRESS_REFUSED, ERRCODE_FDW_UNABLE_TO_CREATE_EXECUTION, "iu_remote_network",
		"its address is not allowed",
	"A superuser can add the network to iu_core.allowed_networks."},
	{IU_HTTP_DNS, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "iu_remote_dns",
		"its host name did not resolve",
	"Check the host in option \"url\" of the foreign server, and name resolution on the database's host."},
	{IU_HTTP_CONNECT, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "iu_remote_connect",
		"no connection",
	"Check that the remote runs, and host and port in option \"url\" of the foreign server."},
	{IU_HTTP_TLS, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "iu_remote_tls",
		"TLS failed",
		"The certificate must be valid for the host in option \"url\" and issued by an authority that the "
	"database's host trusts, or that option \"ca_certificates\" of the foreign server holds."},
	{IU_HTTP_TIMEOUT, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "iu_remote_timeout",
		"no complete answer in time",
		"If the remote is only slow, raise option \"timeout_ms\" of the foreign server, "
	"and iu_core.request_timeout, which is the most."},
	{IU_HTTP_RESET, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "iu_remote_connection_lost",
		"the connection was lost before the answer was complete",
	"Try again; if it stays, look into the remote's log and at proxies on the way."},
	{IU_HTTP_TOO_LARGE, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "iu_remote_answer_too_large",
		"the answer is too large",
	"If an answer of that size is right, raise iu_core.max_response_size."},
	{IU_HTTP_PROTOCOL, ERRCODE_FDW_ERROR, "iu_remote_protocol",
		"the answer is not HTTP",
	"Check scheme and port in option \"url\" of the foreign server."},
	{IU_HTTP_REQUEST_TOO_LARGE, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "iu_remote_request_too_large",
		"the request is too large",
	"Ask for less at once, or raise iu_core.max_request_size."},
	{-1, ERRCODE_FDW_ERROR, "iu_remote_failed", "the request failed", NULL}
};

static const Mapping statuses[] = {
	{400, ERRCODE_FDW_ERROR, "iu_remote_query",
		"the remote could not do it", NULL},
	{401, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, "iu_remote_credentials",
		"the remote refused the credentials", NULL},
	{403, ERRCODE_INSUFFICIENT_PRIVILEGE, "iu_remote_forbidden",
	"forbidden", "Check what the secret of the user mapping allows."},
	{404, ERRCODE_FDW_ERROR, "iu_remote_address",
		"the remote does not know this address",
	"Check that option \"url\" of the foreign server leads to the API itself."},
	{408, ERRCODE_FDW_ERROR, "iu_remote_gave_up",
		"the remote gave up for lack of time", "Try again when it is less busy."},
	{413, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "iu_remote_request_too_large",
		"the request is too large for the remote",
	"Ask for less at once; the limit may be a proxy's on the way."},
	{429, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, "iu_remote_rate_limit",
	"the remote's rate limit is reached", "Try again later."},
	{431, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "iu_remote_request_too_large",
		"the request is too large for the remote",
	"Ask for less at once; the limit may be a proxy's on the way."},
	{500, ERRCODE_FDW_ERROR, "iu_remote_failed",
		"the remote could not do it", "The remote's own log says why."},
	{502, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "iu_remote_unavailable",
		"a proxy could not reach the remote", "Check that the remote runs."},
	{503, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "iu_remote_unavailable",
		"the remote is not available now", "Try again later."},
	{504, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "iu_remote_unavailable",
		"a proxy got no answer from the remote in time", "Check that the remote runs and is not overloaded."},
	{-1, ERRCODE_FDW_ERROR, "iu_remote_failed", "the remote could not do it", NULL}
};

/* The mapping of this number, or the last one, which is for any other. */
static const Mapping *
find_mapping(const Mapping *mappings, int number)
{
	while (mappings->number != number && mappings->number != -1)
		mappings++;
	return mappings;
}

static char *
excerpt(char *text, bool cut)
{
	return psprintf(cut ? "%s..." : "%s", iu_text_on_one_line(text));
}

/* Bytes of unknown origin as one short line that this database can hold. */
static char *
plain_bytes(const char *bytes, size_t length)
{
	return excerpt(iu_text_of_bytes(bytes, length, EXCERPT), length > EXCERPT);
}

/* Text that this database can hold, as one short line. */
static char *
plain_text(const char *text)
{
	int			length = strlen(text);

	return excerpt(pnstrdup(text, pg_mbcliplen(text, length, EXCERPT)), length > EXCERPT);
}

/*
 * Whether bytes of the remote quote the secret: as it is, or as JSON may write
 * it. Looked for in all of them, before anything is cut, or read by somebody who
 * shows only a part of it: half of a secret would be left standing.
 */
static bool
quotes_secret(const char *bytes, size_t length, const char *secret)
{
	char	   *plain;
	size_t		i;
	size_t		n = 0;

	if (secret == NULL)
		return false;
	plain = palloc(length + 1);
	for (i = 0; i < length; i++)
		if (bytes[i] != '\\' && bytes[i] != '\0')
			plain[n++] = bytes[i];
	plain[n] = '\0';
	return strstr(plain, secret) != NULL || strstr(pnstrdup(bytes, length), secret) != NULL;
}

/*
 * What the remote said, in one short line: its own words if the document holds
 * some, else the start of the body; NULL if the body is empty. What quotes the
 * secret is left out.
 *
 * document: the body as JSON; NULL where it is none, or is not to be searched
 * for words.
 */
static const char *
words_of_remote(const IuRemote *remote, const IuHttpAnswer *answer, const IuJson *document,
				const char *secret)
{
	const char *words = document ? remote->error_text(document) : NULL;
	bool		is_text = words != NULL;
	size_t		length = words ? strlen(words) : 0;

	if (words == NULL && answer->body.len > 0)
	{
		if (answer->encoding != NULL)
			return psprintf("(Content-Encoding: %s)", answer->encoding);
		if (answer->content_type && pg_strncasecmp(answer->content_type, "text/html", 9) == 0)
			return "(an HTML page)";
		words = answer->body.data;
		length = strnlen(words, answer->body.len);
	}
	if (words == NULL)
		return NULL;
	if (quotes_secret(words, length, secret))
		return LEFT_OUT;
	return is_text ? plain_text(words) : plain_bytes(words, length);
}

/* What an answer with a status of no success means; arguments as for iu_failure_of_answer. */
static void
failure_of_status(IuFailure *failure, const IuRemote *remote, const IuFetch *fetch,
				  const IuHttpAnswer *answer, const IuJson *document, const char *secret)
{
	const Mapping *mapping = find_mapping(statuses, answer->status);
	const char *words = words_of_remote(remote, answer, document, secret);

	failure->sqlstate = mapping->sqlstate;
	failure->constraint = mapping->constraint;
	failure->reason = mapping->reason;
	failure->hint = mapping->hint;
	failure->detail = words ? psprintf("HTTP %d: %s", answer->status, words)
		: psprintf("HTTP %d.", answer->status);

	if (answer->status == 401)
		failure->hint = psprintf("Check option \"%s\" or \"%s_file\" of the user mapping.",
								 remote->secret_option, remote->secret_option);
	else if (answer->status >= 300 && answer->status < 400)
	{
		failure->constraint = "iu_remote_redirect";
		failure->reason = "the remote redirects, and redirects are not followed";
		failure->hint = "Give the final address in option \"url\" of the foreign server.";
	}
	else if (answer->status >= 200 && answer->status < 300)
	{
		failure->constraint = "iu_remote_answer";
		failure->reason = "the remote did not answer the question";
	}

	/* Directus rounds the seconds of Retry-After down, to 0 as well */
	if ((answer->status == 429 || answer->status == 503) && answer->retry_after >= 0)
		failure->hint = psprintf("Try again in %d s.", Max(answer->retry_after, 1));
	if (remote->refine_failure)
		remote->refine_failure(failure, fetch, answer->status, document);
	if ((answer->status == 401 || answer->status == 403) && secret == NULL &&
		strcmp(failure->constraint, "iu_remote_licence") != 0)
		failure->hint = psprintf("Nothing was sent to identify the user: "
								 "no user mapping gives option \"%s\" or \"%s_file\".",
								 remote->secret_option, remote->secret_option);
}

/* What it means that the body of an answer of status 200 is no JSON; arguments as for iu_failure_of_answer. */
static void
failure_of_body(IuFailure *failure, const IuRemote *remote, const IuHttpAnswer *answer, const char *problem,
				const char *secret)
{
	const char *words = words_of_remote(remote, answer, NULL, secret);

	failure->sqlstate = ERRCODE_FDW_ERROR;
	failure->constraint = "iu_remote_answer";
	if (answer->encoding != NULL)
	{
		failure->reason = "the answer is compressed, which nobody asked for";
		failure->detail = psprintf("HTTP 200, Content-Encoding: %s.", answer->encoding);
		failure->hint = "Requests say nothing of compression. Look into proxies on the way to the remote.";
		return;
	}
	failure->reason = "the answer is not usable JSON";
	failure->detail = quotes_secret(answer->body.data, answer->body.len, secret) ? "HTTP 200."
		: psprintf("HTTP 200: %s; it begins: %s", problem ? plain_text(problem) : "it is empty",
				   words ? words : "(nothing)");
	failure->hint = "Check that option \"url\" of the foreign server leads to the API itself, "
		"not to a page or a proxy.";
}

/*
 * Fills in what went wrong with a request. For every answer but a 200 that is
 * JSON.
 *
 * fetch: what was asked; document: the body as JSON, NULL if it is none, and
 * then problem may say why; secret: what no message may quote, NULL for none.
 */
void
iu_failure_of_answer(IuFailure *failure, const IuRemote *remote, const IuFetch *fetch,
					 const IuHttpAnswer *answer, const IuJson *document,
					 const char *problem, const char *secret)
{
	if (answer->outcome != IU_HTTP_ANSWERED)
	{
		const Mapping *mapping = find_mapping(outcomes, answer->outcome);

		failure->sqlstate = mapping->sqlstate;
		failure->constraint = mapping->constraint;
		failure->reason = mapping->reason;
		failure->detail = answer->error;
		failure->hint = mapping->hint;
	}
	else if (answer->status == 200)
		failure_of_body(failure, remote, answer, problem, secret);
	else
		failure_of_status(failure, remote, fetch, answer, document, secret);
}

/* Whether text quotes the secret. Both may be NULL. */
bool
iu_failure_hides(const char *text, const char *secret)
{
	return text != NULL && secret != NULL && strstr(text, secret) != NULL;
}

/*
 * Text for a message, where it may hold what the remote said: the text itself,
 * or if it quotes the secret, a remark that it was left out. Both may be NULL.
 */
const char *
iu_failure_hide(const char *text, const char *secret)
{
	return iu_failure_hides(text, secret) ? LEFT_OUT : text;
}

/*
 * Raises a failure as an error.
 *
 * key: the collection it is about; NULL: the listing of collections.
 */
void
iu_failure_raise(const IuServer *server, const char *key, const IuFailure *failure,
				 const char *secret)
{
	const char *detail = iu_failure_hide(failure->detail, secret);
	/* the key may come from the remote's listing */
	const char *name = key ? iu_text_on_one_line(pstrdup(iu_failure_hide(key, secret))) : NULL;

	ereport(ERROR,
			(errcode(failure->sqlstate),
			 key ? errmsg("could not read collection \"%s\" of foreign server \"%s\": %s",
						  name, server->name, failure->reason)
			 : errmsg("could not list the collections of foreign server \"%s\": %s",
					  server->name, failure->reason),
			 detail ? errdetail("%s", detail) : 0,
			 failure->hint ? errhint("%s", failure->hint) : 0,
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, failure->constraint)));
}
