/*-------------------------------------------------------------------------
 *
 * status.c
 *	  What the server is and what its workers do, for SQL: the worker slots as
 *	  rows of iu_core.worker_status, whether the library was preloaded, and
 *	  which server and database this is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/health.h"
#include "core/slots.h"
#include "core/text.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_worker_status);
PG_FUNCTION_INFO_V1(iu_is_preloaded);
PG_FUNCTION_INFO_V1(iu_system_identifier);
PG_FUNCTION_INFO_V1(iu_database_oid);

/* Whether the library was preloaded, so that there can be workers. */
Datum
iu_is_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(iu_shared != NULL);
}

/* Which server this is: the number that initdb gave it. A standby and a copy of the files have the same. */
Datum
iu_system_identifier(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) GetSystemIdentifier());
}

/* Which database of it: a copy made by CREATE DATABASE ... TEMPLATE has another oid. */
Datum
iu_database_oid(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(MyDatabaseId);
}

static Datum
counters_as_jsonb(const IuWorkerSlot *slot)
{
	StringInfoData json;
	const char *separator = "";
	int			i;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (i = 0; i < IU_COUNTERS; i++)
	{
		if ((iu_role_counters[slot->role] & (1 << i)) == 0)
			continue;
		appendStringInfoString(&json, separator);
		escape_json(&json, iu_counter_names[i]);
		appendStringInfo(&json, ":" INT64_FORMAT, slot->counters[i]);
		separator = ",";
	}
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* Adds a row for a slot that is given out. */
static void
put_slot(ReturnSetInfo *result, const IuWorkerSlot *slot)
{
	Datum		values[10];
	bool		nulls[10] = {false};
	char	   *why = iu_text_readable(slot->last_error);
	TimestampTz overdue = iu_overdue_since(slot, iu_now(), &why);

	/* What the process last said of itself says more than what others conclude from its silence. */
	if (slot->last_error[0] != '\0')
		why = iu_text_readable(slot->last_error);
	values[0] = CStringGetTextDatum(iu_text_readable(NameStr(slot->database)));
	nulls[0] = NameStr(slot->database)[0] == '\0';
	values[1] = CStringGetTextDatum(iu_worker_role_names[slot->role]);
	values[2] = Int32GetDatum(slot->number);
	nulls[2] = slot->role != IU_SENDER;
	values[3] = Int32GetDatum(slot->pid);
	nulls[3] = slot->pid == 0;
	values[4] = CStringGetTextDatum(overdue != 0 ? "overdue" : iu_worker_state_names[slot->state]);
	values[5] = TimestampTzGetDatum(iu_wall_of(overdue != 0 ? overdue : slot->since));
	values[6] = TimestampTzGetDatum(iu_wall_of(slot->last_tick));
	nulls[6] = slot->last_tick == 0;
	values[7] = TimestampTzGetDatum(iu_wall_of(slot->next_wakeup));
	nulls[7] = slot->next_wakeup == 0;
	values[8] = counters_as_jsonb(slot);
	values[9] = CStringGetTextDatum(why);
	nulls[9] = why[0] == '\0';
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* One row that says why there are no workers at all. */
static void
put_absence(ReturnSetInfo *result, const char *state, const char *why)
{
	Datum		values[10] = {0};
	bool		nulls[10] = {true, false, true, true, false, true, true, true, true, false};

	values[1] = CStringGetTextDatum(iu_worker_role_names[IU_LAUNCHER]);
	values[4] = CStringGetTextDatum(state);
	values[9] = CStringGetTextDatum(why);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* iu_core.worker_status: a row for each slot that is given out. */
Datum
iu_worker_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	IuWorkerSlot slot;
	bool		any = false;
	int			i;

	InitMaterializedSRF(fcinfo, 0);

	if (iu_shared == NULL)
	{
		put_absence(result, "not preloaded",
					"iu_core is not in shared_preload_libraries: no worker runs and every gate reads closed; "
					"add it and restart the server");
		return (Datum) 0;
	}
	if (!IsUnderPostmaster)
	{
		put_absence(result, "single-user mode",
					"the server runs in single-user mode: no worker runs and every gate reads closed");
		return (Datum) 0;
	}
	if (!iu_shared->launcher_registered)
	{
		put_absence(result, iu_worker_state_names[IU_NO_SLOT],
					"the server left no place for the launcher: raise max_worker_processes and restart the server");
		return (Datum) 0;
	}
	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		if (!iu_slot_read(i, &slot))
			continue;
		any = true;
		put_slot(result, &slot);
	}
	if (!any)
		put_absence(result, RecoveryInProgress() ? "standby" : "starting",
					RecoveryInProgress()
					? "this server is a standby: the workers start when it is promoted"
					: "the launcher has not started yet");
	return (Datum) 0;
}
