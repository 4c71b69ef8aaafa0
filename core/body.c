/*-------------------------------------------------------------------------
 *
 * body.c
 *	  The body and the webhook-id of a delivery. Both follow from the event
 *	  alone: no setting, time zone or locale has a say, so that every attempt
 *	  sends the same bytes.
 *
 * They are made for every delivery, which is why they are made here and not by
 * an expression of SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(iu_delivery_body);
PG_FUNCTION_INFO_V1(iu_webhook_id);

#define UUID_TEXT_LENGTH 36

/* The arguments of iu_core.delivery_body(). */
enum
{
	DOMAIN,
	TYPE,
	OCCURRED_AT,
	ID,
	SEVERITY,
	SUBJECT_TABLE,
	SUBJECT_REF,
	CANONICAL_ADDRESS,
	CORRELATION_ID,
	PAYLOAD,
	ARGUMENTS
};

/* As uuid_out writes it. to: room for UUID_TEXT_LENGTH + 1 bytes. */
static void
write_uuid(char *to, const pg_uuid_t *uuid)
{
	static const char digits[] = "0123456789abcdef";
	int			i;

	for (i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = digits[uuid->data[i] >> 4];
		*to++ = digits[uuid->data[i] & 15];
	}
	*to = '\0';
}

/* In UTC, with microseconds. Raises for what is no time of the years 1 to 9999. */
static void
append_time(StringInfo body, Timestamp time)
{
	struct pg_tm parts;
	fsec_t		microseconds;

	if (TIMESTAMP_NOT_FINITE(time) || timestamp2tm(time, NULL, &parts, &microseconds, NULL, NULL) != 0 ||
		parts.tm_year < 1 || parts.tm_year > 9999)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("the time of an event is not within the years 1 to 9999"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_event_time")));
	appendStringInfo(body, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", parts.tm_year, parts.tm_mon, parts.tm_mday,
					 parts.tm_hour, parts.tm_min, parts.tm_sec, (int) microseconds);
}

static void
append_text(StringInfo body, Datum text)
{
	struct varlena *plain = PG_DETOAST_DATUM_PACKED(text);

	appendBinaryStringInfo(body, VARDATA_ANY(plain), VARSIZE_ANY_EXHDR(plain));
}

/* A string of JSON; null where it is NULL. */
static void
append_json(StringInfo body, FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		appendStringInfoString(body, "null");
	else
		escape_json(body, TextDatumGetCString(PG_GETARG_DATUM(argument)));
}

/* iu_core.delivery_body(...): NULL where anything but the address and the correlation is. */
Datum
iu_delivery_body(PG_FUNCTION_ARGS)
{
	StringInfoData body;
	Jsonb	   *payload;
	char		id[UUID_TEXT_LENGTH + 1];
	int			i;

	for (i = 0; i < ARGUMENTS; i++)
		if (i != CANONICAL_ADDRESS && i != CORRELATION_ID && PG_ARGISNULL(i))
			PG_RETURN_NULL();
	write_uuid(id, PG_GETARG_UUID_P(ID));
	payload = PG_GETARG_JSONB_P(PAYLOAD);
	initStringInfo(&body);
	appendStringInfoString(&body, "{\"type\":\"");
	append_text(&body, PG_GETARG_DATUM(DOMAIN));
	appendStringInfoChar(&body, '.');
	append_text(&body, PG_GETARG_DATUM(TYPE));
	appendStringInfoString(&body, "\",\"timestamp\":\"");
	append_time(&body, PG_GETARG_TIMESTAMPTZ(OCCURRED_AT));
	appendStringInfoString(&body, "\",\"data\":{\"event_id\":\"");
	appendStringInfoString(&body, id);
	appendStringInfoString(&body, "\",\"severity\":\"");
	append_text(&body, PG_GETARG_DATUM(SEVERITY));
	appendStringInfoString(&body, "\",\"subject\":{\"table\":");
	append_json(&body, fcinfo, SUBJECT_TABLE);
	appendStringInfoString(&body, ",\"ref\":");
	append_json(&body, fcinfo, SUBJECT_REF);
	appendStringInfoString(&body, "},\"canonical_address\":");
	append_json(&body, fcinfo, CANONICAL_ADDRESS);
	appendStringInfoString(&body, ",\"correlation_id\":");
	append_json(&body, fcinfo, CORRELATION_ID);
	appendStringInfoString(&body, ",\"payload\":");
	(void) JsonbToCString(&body, &payload->root, VARSIZE(payload));
	appendStringInfoString(&body, "}}");
	PG_RETURN_TEXT_P(cstring_to_text_with_len(body.data, body.len));
}

/* iu_core.webhook_id(event_seq, route_id, replay_number, event_id) */
Datum
iu_webhook_id(PG_FUNCTION_ARGS)
{
	char		id[UUID_TEXT_LENGTH + 1];
	char		text[128];
	int			length;

	write_uuid(id, PG_GETARG_UUID_P(3));
	length = snprintf(text, sizeof(text), "msg_" INT64_FORMAT "_" INT64_FORMAT "_%d_%s", PG_GETARG_INT64(0),
					  PG_GETARG_INT64(1), PG_GETARG_INT32(2), id + UUID_TEXT_LENGTH - 12);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text, length));
}
