/*-------------------------------------------------------------------------
 *
 * attempt.c
 *	  One attempt to carry out a delivery: what became of it, and how it is
 *	  recorded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/attempt.h"
#include "bgworker/calls.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

const char *const iu_outcome_names[IU_OUTCOMES] = {NULL, "sent", "failed", "held", "held"};

typedef struct HeldCode
{
	const char *failure_code;
	IuOutcome	outcome;
} HeldCode;

/*
 * What follows a failure code. What an administrator has to mend or allow first
 * holds a delivery; every other code fails it. Only an attempt finds out that an
 * address is refused, so that fn_iu_delivery_record_batch lets such a delivery
 * wait a while; the others are refused by the claim itself, as long as it lasts.
 */
static const HeldCode held_codes[] = {
	{"target_kind_not_supported", IU_HELD},
	{"secret_missing", IU_HELD},
	{"credential_missing", IU_HELD},
	{"certificate_missing", IU_HELD},
	{"origin_refused", IU_HELD},
	{"address_refused", IU_HELD_A_WHILE}
};

/* What follows an attempt that ended with this failure code. */
IuOutcome
iu_outcome_of(const char *failure_code)
{
	int			i;

	for (i = 0; i < lengthof(held_codes); i++)
		if (strcmp(held_codes[i].failure_code, failure_code) == 0)
			return held_codes[i].outcome;
	return IU_FAILED;
}

/* Whether the attempt does not count. */
bool
iu_outcome_is_held(IuOutcome outcome)
{
	return outcome == IU_HELD || outcome == IU_HELD_A_WHILE;
}

/* The outcome that SQL names so. name may be NULL, which names none. */
IuOutcome
iu_outcome_by_name(const char *name)
{
	int			outcome;

	for (outcome = IU_SENT; name != NULL && outcome < IU_OUTCOMES; outcome++)
		if (strcmp(name, iu_outcome_names[outcome]) == 0)
			return outcome;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown outcome \"%s\" of a delivery", name == NULL ? "NULL" : name),
			 errdetail("It must be sent, failed or held."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_worker_outcome")));
}

/* ---- The record ---- */

/* The arrays that fn_iu_delivery_record_batch takes after the lease, an element for each attempt. */
enum
{
	EVENT_ID,
	REPLAY_NUMBER,
	ATTEMPT_NO,
	OUTCOME,
	HTTP_STATUS,
	FAILURE_CODE,
	FAILURE_DETAIL,
	RETRY_AFTER,
	DURATION_US,
	RESPONSE_EXCERPT,
	STARTED_AT,
	ARRAYS
};

static const Oid element_types[ARRAYS] = {
	UUIDOID, INT4OID, INT4OID, TEXTOID, INT4OID, TEXTOID, TEXTOID, FLOAT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID
};

typedef struct Elements
{
	Datum	   *values;
	bool	   *nulls;
} Elements;

static void
set_element(Elements *elements, int i, Datum value, bool null)
{
	elements->values[i] = value;
	elements->nulls[i] = null;
}

static void
set_text_element(Elements *elements, int i, const char *string)
{
	set_element(elements, i, string == NULL ? (Datum) 0 : CStringGetTextDatum(string), string == NULL);
}

static void
set_attempt(Elements *arrays, int i, const IuAttempt *attempt)
{
	set_element(&arrays[EVENT_ID], i, UUIDPGetDatum(&attempt->event_id), false);
	set_element(&arrays[REPLAY_NUMBER], i, Int32GetDatum(attempt->replay_number), false);
	set_element(&arrays[ATTEMPT_NO], i, Int32GetDatum(attempt->attempt_no), false);
	set_text_element(&arrays[OUTCOME], i, iu_outcome_names[attempt->outcome]);
	set_element(&arrays[HTTP_STATUS], i, Int32GetDatum(attempt->http_status), attempt->http_status == 0);
	set_text_element(&arrays[FAILURE_CODE], i, attempt->failure_code);
	set_text_element(&arrays[FAILURE_DETAIL], i, attempt->failure_detail);
	set_element(&arrays[RETRY_AFTER], i, Float8GetDatum(attempt->retry_after), attempt->retry_after < 0);
	set_element(&arrays[DURATION_US], i, Int64GetDatum(attempt->microseconds), false);
	set_text_element(&arrays[RESPONSE_EXCERPT], i, attempt->excerpt);
	set_element(&arrays[STARTED_AT], i, TimestampTzGetDatum(attempt->started_at), attempt->started_at == 0);
}

static Datum
array_of(const Elements *elements, int count, Oid type)
{
	int			dimensions[1] = {count};
	int			lower_bounds[1] = {1};
	int16		length;
	bool		by_value;
	char		alignment;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	return PointerGetDatum(construct_md_array(elements->values, elements->nulls, 1, dimensions, lower_bounds, type,
											  length, by_value, alignment));
}

/*
 * Records attempts of deliveries of a lease, as a list of IuAttempt, in the
 * current transaction. Raises where the lease is another's by now.
 */
void
iu_attempts_record(int64 lease_id, int generation, const List *attempts)
{
	int			count = list_length(attempts);
	Elements	arrays[ARRAYS];
	Datum		arguments[2 + ARRAYS];
	bool		null;
	int			i;

	for (i = 0; i < ARRAYS; i++)
	{
		arrays[i].values = palloc(sizeof(Datum) * count);
		arrays[i].nulls = palloc(sizeof(bool) * count);
	}
	for (i = 0; i < count; i++)
		set_attempt(arrays, i, list_nth(attempts, i));
	arguments[0] = Int64GetDatum(lease_id);
	arguments[1] = Int32GetDatum(generation);
	for (i = 0; i < ARRAYS; i++)
		arguments[2 + i] = array_of(&arrays[i], count, element_types[i]);
	(void) iu_call_for_value(IU_CALL_RECORD, arguments, &null);
}
