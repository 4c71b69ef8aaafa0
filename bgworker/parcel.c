/*-------------------------------------------------------------------------
 *
 * parcel.c
 *	  Makes an HTTP request of a delivery: headers and signature as Standard
 *	  Webhooks has them.
 *
 * Whatever is wrong with one delivery (a secret that cannot be used, a body
 * that is not UTF-8) is that delivery's failure and nobody else's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "bgworker/sender.h"
#include "core/compat.h"
#include "http/certificate.h"
#include "http/signature.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#define SENDERS_HEADERS 5		/* that sign_body adds; the route's come after them */

typedef struct Parcel
{
	IuHttpPool *pool;
	IuDelivery *delivery;
	char	   *body;			/* UTF-8 */
	size_t		body_length;
	const char **headers;		/* NULL-terminated */
	int			header_count;
	IuCertificates certificates;
} Parcel;

static void
add_header(Parcel *parcel, const char *name, const char *value)
{
	parcel->headers[parcel->header_count++] = psprintf("%s: %s", name, value);
}

/* JSON is sent as UTF-8, whatever the database's encoding is. */
static void
encode_body(void *argument)
{
	Parcel	   *parcel = argument;
	MemoryContext caller = CurrentMemoryContext;
	char	   *body = parcel->delivery->body;

	if (body == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the delivery has no body"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_worker_body")));
	if (GetDatabaseEncoding() != PG_UTF8)
	{
		/* The conversion is looked up in a catalog. */
		StartTransactionCommand();
		body = MemoryContextStrdup(caller, pg_server_to_any(body, strlen(body), PG_UTF8));
		CommitTransactionCommand();
		MemoryContextSwitchTo(caller);
	}
	parcel->body = body;
	parcel->body_length = strlen(body);
}

static void
sign_body(void *argument)
{
	Parcel	   *parcel = argument;
	IuDelivery *delivery = parcel->delivery;
	const IuTexts *secrets = &delivery->lease->secrets;
	const IuTexts *more = &delivery->lease->headers;
	int64		now = time(NULL);
	char	   *signature;
	int			i;

	signature = iu_webhook_signature(delivery->webhook_id, now, parcel->body, parcel->body_length,
									 secrets->texts, secrets->count);
	parcel->headers = palloc0(sizeof(char *) * (SENDERS_HEADERS + more->count + 1));
	add_header(parcel, "Content-Type", "application/json");
	add_header(parcel, "User-Agent", "iu_core/" IU_CORE_VERSION);
	add_header(parcel, "webhook-id", delivery->webhook_id);
	add_header(parcel, "webhook-timestamp", psprintf(INT64_FORMAT, now));
	add_header(parcel, "webhook-signature", signature);
	for (i = 0; i < more->count; i++)
		parcel->headers[parcel->header_count++] = more->texts[i];
}

static void
submit_parcel(void *argument)
{
	Parcel	   *parcel = argument;
	IuDelivery *delivery = parcel->delivery;
	IuHttpRequest request = {"POST"};

	request.url = delivery->lease->target_url;
	request.headers = parcel->headers;
	request.body = parcel->body;
	request.body_length = parcel->body_length;
	request.timeout_ms = delivery->lease->timeout_ms;
	request.authorities = parcel->certificates.authorities;
	request.identity = parcel->certificates.identity;
	request.keep = IU_EXCERPT_BYTES * MAX_MULTIBYTE_CHAR_LEN;
	request.owner = delivery;
	iu_http_submit(parcel->pool, &request);
}

typedef struct ParcelStep
{
	IuTask		task;
	const char *failure_code;	/* where it raises */
} ParcelStep;

static const ParcelStep parcel_steps[] = {
	{encode_body, "body_not_sendable"}, {sign_body, "signature_failed"}, {submit_parcel, "not_submitted"}
};

/*
 * Submits the delivery to the pool. Returns NULL, or the failure code of what is
 * wrong with it, and in *detail a sentence for people. Nothing goes out unsigned.
 */
const char *
iu_parcel_submit(IuHttpPool *pool, IuDelivery *delivery, const char **detail)
{
	Parcel		parcel = {pool, delivery};
	ErrorData  *error;
	int			i;

	if (delivery->lease->target_url == NULL)
	{
		*detail = "what was claimed has no URL";
		return "target_kind_not_supported";
	}
	for (i = 0; i < delivery->lease->headers.count; i++)
	{
		if (delivery->lease->headers.texts[i] == NULL)
		{
			*detail = "a credential was gone when the delivery was claimed";
			return "credential_missing";
		}
	}
	if (delivery->lease->secrets.count == 0)
	{
		*detail = "no signing secret was valid when the delivery was claimed";
		return "secret_missing";
	}
	*detail = iu_certificates_read(delivery->lease->target_url, delivery->lease->ca_name, delivery->lease->client_name,
								   &parcel.certificates);
	if (*detail != NULL)
		return "certificate_missing";
	for (i = 0; i < lengthof(parcel_steps); i++)
	{
		error = iu_worker_try(parcel_steps[i].task, &parcel);
		if (error != NULL)
		{
			*detail = error->message;
			return parcel_steps[i].failure_code;
		}
	}
	return NULL;
}
