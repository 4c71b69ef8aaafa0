/*-------------------------------------------------------------------------
 *
 * probe.c
 *	  iu_core.http_probe: one request, to see whether this server can reach a
 *	  route, under the same policy as every other request.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/policy.h"
#include "core/text.h"
#include "fmgr.h"
#include "funcapi.h"
#include "http/client.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(iu_http_probe);

enum
{
	PROBE_OUTCOME,
	PROBE_STATUS,
	PROBE_RETRY_AFTER,
	PROBE_DURATION_MS,
	PROBE_CONTENT_TYPE,
	PROBE_BODY,
	PROBE_ERROR,
	PROBE_COLUMNS
};

/* The headers as the client takes them; raises for NULL among them. */
static const char *const *
header_list(ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	char	  **headers;
	int			count;
	int			i;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	headers = palloc0(sizeof(char *) * (count + 1));
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("HTTP header %d is null", i + 1),
					 errdetail("Header: %d.", i + 1),
					 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_http_null")));
		headers[i] = TextDatumGetCString(elements[i]);
	}
	return (const char *const *) headers;
}

/* Sends a request on a connection of its own and waits for the answer. */
static IuHttpAnswer *
perform_alone(const IuHttpRequest *request)
{
	static uint32 wait_event = 0;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "iu_core probe",
												  ALLOCSET_SMALL_SIZES);
	IuHttpAnswer *answer;

	if (wait_event == 0)
		wait_event = iu_wait_event("IuCoreHttpProbe");
	answer = iu_http_perform(iu_http_pool_create(context, 1), request, wait_event);
	MemoryContextDelete(context);
	return answer;
}

/* The result of the function. */
static Datum
probe_row(FunctionCallInfo fcinfo, IuHttpAnswer *answer)
{
	TupleDesc	descriptor;
	Datum		values[PROBE_COLUMNS];
	bool		nulls[PROBE_COLUMNS] = {0};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	descriptor = BlessTupleDesc(descriptor);

	values[PROBE_OUTCOME] = CStringGetTextDatum(iu_http_outcome_code(answer->outcome));
	values[PROBE_STATUS] = Int32GetDatum(answer->status);
	nulls[PROBE_STATUS] = answer->status == 0;
	values[PROBE_RETRY_AFTER] = Int32GetDatum(answer->retry_after);
	nulls[PROBE_RETRY_AFTER] = answer->retry_after < 0;
	values[PROBE_DURATION_MS] = Float8GetDatum(answer->microseconds / 1000.0);
	nulls[PROBE_CONTENT_TYPE] = answer->content_type == NULL;
	values[PROBE_CONTENT_TYPE] = answer->content_type ? CStringGetTextDatum(answer->content_type) : (Datum) 0;
	nulls[PROBE_BODY] = answer->status == 0;
	values[PROBE_BODY] = CStringGetTextDatum(iu_text_of_bytes(answer->body.data, answer->body.len, answer->body.len));
	nulls[PROBE_ERROR] = answer->error == NULL;
	values[PROBE_ERROR] = answer->error ? CStringGetTextDatum(answer->error) : (Datum) 0;
	return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
}

/* iu_core.http_probe(method, url, headers, request_body, timeout_ms) */
Datum
iu_http_probe(PG_FUNCTION_ARGS)
{
	IuHttpRequest request = {0};

	iu_require_member("iu_core_admin");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("HTTP method is null"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_http_null")));
	request.method = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(1))
		request.url = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (!PG_ARGISNULL(2))
		request.headers = header_list(PG_GETARG_ARRAYTYPE_P(2));
	if (!PG_ARGISNULL(3))
	{
		request.body = text_to_cstring(PG_GETARG_TEXT_PP(3));
		request.body_length = strlen(request.body);
	}
	if (!PG_ARGISNULL(4))
	{
		request.timeout_ms = PG_GETARG_INT32(4);
		if (request.timeout_ms < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("timeout of an HTTP request must be at least 1 ms"),
					 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_http_timeout")));
	}
	return probe_row(fcinfo, perform_alone(&request));
}
