/*-------------------------------------------------------------------------
 *
 * parcel.c
 *	  A delivery as an HTTP request: Standard Webhooks headers, signature.
 *
 * Whatever is wrong with one delivery (a secret that cannot be used, a target
 * that is none) is that delivery's failure and nobody else's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "bgworker/delivery.h"
#include "core/compat.h"
#include "http/signature.h"
#include "utils/memutils.h"

typedef struct Parcel
{
	IuHttpPool *pool;
	IuDelivery *delivery;
	const char *headers[6];
	int			header_count;
} Parcel;

static void
add_header(Parcel *parcel, const char *name, const char *value)
{
	parcel->headers[parcel->header_count++] = psprintf("%s: %s", name, value);
}

static void
sign_step(void *argument)
{
	Parcel	   *parcel = argument;
	IuDelivery *delivery = parcel->delivery;
	MemoryContext caller = CurrentMemoryContext;
	int64		now = time(NULL);
	char	   *signature = NULL;

	/* The server's HMAC wants a resource owner, which a transaction brings. */
	if (delivery->secret_count > 0)
	{
		StartTransactionCommand();
		signature = iu_webhook_signature(delivery->webhook_id, now, delivery->body, delivery->body_length,
										 delivery->secrets, delivery->secret_count);
		signature = MemoryContextStrdup(caller, signature);
		CommitTransactionCommand();
		MemoryContextSwitchTo(caller);
	}
	add_header(parcel, "Content-Type", "application/json");
	add_header(parcel, "User-Agent", "iu_core/" IU_CORE_VERSION);
	add_header(parcel, "webhook-id", delivery->webhook_id);
	add_header(parcel, "webhook-timestamp", psprintf(INT64_FORMAT, now));
	if (signature != NULL)
		add_header(parcel, "webhook-signature", signature);
}

static void
submit_step(void *argument)
{
	Parcel	   *parcel = argument;
	IuDelivery *delivery = parcel->delivery;
	IuHttpRequest request = {"POST"};

	request.url = delivery->target_url;
	request.headers = parcel->headers;
	request.body = delivery->body;
	request.body_length = delivery->body_length;
	request.timeout_ms = delivery->timeout_ms;
	request.owner = delivery;
	iu_http_submit(parcel->pool, &request);
}

/* NULL, or the code of what is wrong with it, and the detail for people. */
const char *
iu_parcel_submit(IuHttpPool *pool, IuDelivery *delivery, const char **detail)
{
	Parcel		parcel = {pool, delivery};
	ErrorData  *error;

	if (delivery->target_url == NULL)
	{
		*detail = "what was claimed has no URL";
		return "not_submitted";
	}
	error = iu_worker_try(sign_step, &parcel);
	if (error != NULL)
	{
		*detail = error->message;
		return "signature_failed";
	}
	error = iu_worker_try(submit_step, &parcel);
	if (error != NULL)
	{
		*detail = error->message;
		return "not_submitted";
	}
	return NULL;
}
