/*-------------------------------------------------------------------------
 *
 * record.c
 *	  The sender's writing side: outcomes of a lease, several in one call.
 *
 * What came from the network is made text first: it may hold anything, and an
 * outcome that cannot be stored would be sent again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/delivery.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define EXCERPT_BYTES 1024

IuCall		iu_record_call = {"fn_iu_delivery_record", 3, {INT8OID, INT4OID, JSONBOID}};
IuCall		iu_keep_call = {"fn_iu_delivery_keep", 2, {INT8OID, INT4OID}};

/*
 * The beginning of these bytes as text of the database's encoding: at most
 * EXCERPT_BYTES, cut between characters, with '?' for what is none.
 */
const char *
iu_clean_text(MemoryContext context, const char *bytes, size_t length)
{
	char	   *text = MemoryContextAlloc(context, Min(length, EXCERPT_BYTES) + 1);
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8;
	size_t		from = 0;
	size_t		to = 0;

	while (from < length && to < EXCERPT_BYTES)
	{
		int			size = pg_encoding_verifymbchar(PG_UTF8, bytes + from, length - from);

		if (size <= 0 || bytes[from] == '\0' || (size > 1 && !utf8))
		{
			text[to++] = '?';
			from += Max(size, 1);
			continue;
		}
		if (to + size > EXCERPT_BYTES)
			break;
		memcpy(text + to, bytes + from, size);
		to += size;
		from += size;
	}
	text[to] = '\0';
	return text;
}

static void
append_text(StringInfo json, const char *name, const char *value)
{
	appendStringInfo(json, ",\"%s\":", name);
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, value);
}

static void
append_number(StringInfo json, const char *name, bool known, int64 value)
{
	if (known)
		appendStringInfo(json, ",\"%s\":" INT64_FORMAT, name, value);
	else
		appendStringInfo(json, ",\"%s\":null", name);
}

static void
append_result(StringInfo json, const IuDelivery *delivery)
{
	appendStringInfoString(json, "{\"event_id\":");
	escape_json(json, delivery->event_id);
	append_number(json, "replay_number", true, delivery->replay_number);
	append_number(json, "attempt_no", true, delivery->attempt_no);
	append_text(json, "outcome", delivery->outcome);
	append_number(json, "http_status", delivery->status != 0, delivery->status);
	append_text(json, "failure_code", delivery->failure_code);
	append_text(json, "failure_detail", delivery->failure_detail);
	append_number(json, "retry_after", delivery->retry_after >= 0, delivery->retry_after);
	append_number(json, "duration_us", true, delivery->microseconds);
	append_text(json, "response_excerpt", delivery->excerpt);
	append_text(json, "started_at", delivery->started_at == 0 ? NULL : timestamptz_to_str(delivery->started_at));
	appendStringInfoChar(json, '}');
}

void
iu_record(IuLease *lease)
{
	StringInfoData json;
	ListCell   *cell;
	Datum		arguments[3];

	initStringInfo(&json);
	foreach(cell, lease->finished)
	{
		appendStringInfoChar(&json, json.len == 0 ? '[' : ',');
		append_result(&json, lfirst(cell));
	}
	appendStringInfoChar(&json, ']');

	arguments[0] = Int64GetDatum(lease->id);
	arguments[1] = Int32GetDatum(lease->generation);
	arguments[2] = DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
	iu_worker_call(&iu_record_call, arguments);
}

/* Where recording failed: the lease stays ours, or is found lost. */
void
iu_record_keep(IuLease *lease)
{
	Datum		arguments[2];
	bool		null = true;
	Datum		kept = 0;

	arguments[0] = Int64GetDatum(lease->id);
	arguments[1] = Int32GetDatum(lease->generation);
	iu_worker_call(&iu_keep_call, arguments);
	if (SPI_processed > 0)
		kept = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null);
	lease->lost = !null && !DatumGetBool(kept);
}
