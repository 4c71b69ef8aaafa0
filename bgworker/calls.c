/*-------------------------------------------------------------------------
 *
 * calls.c
 *	  The SQL functions that the workers call, and the rows that they return.
 *
 * The workers know no table: they call the functions below, which migrations
 * bring, and idle while those are absent. A function is looked up, with its
 * owner, when it is first called and again when a catalog on which the answer
 * rests has changed: functions, schemas or roles. Its plan is made once and
 * kept; the server itself renews a plan whose function has changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "core/compat.h"
#include "core/policy.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#define MAX_ARGUMENTS 13

typedef struct Function
{
	const char *name;			/* in schema IU_POLICY_SCHEMA */
	int			argument_count;
	Oid			argument_types[MAX_ARGUMENTS];
	Oid			value;			/* the type that it returns; none: it returns rows */
} Function;

#define FUNCTION_BEGIN_ARGUMENTS                                      \
	{                                                                 \
		INT8OID, INT4OID, UUIDOID, INT4OID, INT4OID, TEXTOID, BOOLOID \
	}

static const Function functions[IU_CALLS] = {
	[IU_CALL_GATES_EXPIRING] = {"fn_iu_gate_expiring"},
	[IU_CALL_GATE_CLOSE] = {"fn_iu_gate_close_expired", 2, {TEXTOID, TEXTOID}},
	[IU_CALL_SETTLE] = {"fn_iu_delivery_settle", 0, {InvalidOid}, VOIDOID},
	[IU_CALL_GATE_OVERSTAYED] = {"fn_iu_gate_close_overstayed", 3, {TEXTOID, TEXTOID, INT8OID}},
	[IU_CALL_PLACE_BEGIN] = {"fn_iu_place_begin", 1, {TEXTOID}, TEXTOID},
	[IU_CALL_NEWS] = {"fn_iu_delivery_news", 1, {TEXTOID}},
	[IU_CALL_CLAIM] = {"fn_iu_delivery_claim", 5, {TEXTOID, INT4OID, INT4OID, INT4OID, TEXTARRAYOID}},
	[IU_CALL_CHECK] = {"fn_iu_delivery_check", 2, {INT8OID, INT4OID}, TEXTOID},
	[IU_CALL_NEXT_DUE] = {"fn_iu_delivery_next_due", 3, {INT4OID, INT4OID, TEXTARRAYOID}, TIMESTAMPTZOID},
	[IU_CALL_RECORD] = {
		"fn_iu_delivery_record_batch",
		13,
		{
			INT8OID,
			INT4OID,
			UUIDARRAYOID,
			INT4ARRAYOID,
			INT4ARRAYOID,
			TEXTARRAYOID,
			INT4ARRAYOID,
			TEXTARRAYOID,
			TEXTARRAYOID,
			FLOAT8ARRAYOID,
			INT8ARRAYOID,
			TEXTARRAYOID,
			TIMESTAMPTZARRAYOID,
		},
		INT4OID,
	},
	[IU_CALL_KEEP] = {"fn_iu_delivery_keep", 2, {INT8OID, INT4OID}, BOOLOID},
	[IU_CALL_OUTBOX_TURN] = {"fn_iu_route_worker_turn", 2, {TEXTOID, INT4OID}, BOOLOID},
	[IU_CALL_FUNCTION_CLAIM] = {"fn_iu_function_claim", 2, {TEXTOID, INT4OID}},
	[IU_CALL_FUNCTION_BEGIN] = {"fn_iu_function_begin", 7, FUNCTION_BEGIN_ARGUMENTS, TEXTOID},
	[IU_CALL_FUNCTION_RUN] = {"fn_iu_function_call", 4, {INT8OID, INT4OID, UUIDOID, INT4OID}},
	[IU_CALL_FUNCTION_NEXT_DUE] = {"fn_iu_function_next_due", 0, {InvalidOid}, TIMESTAMPTZOID},
	[IU_CALL_SCHEDULE_BEGIN] = {"fn_iu_schedule_begin", 1, {BOOLOID}, INT4OID},
	[IU_CALL_SCHEDULE_TURN] = {"fn_iu_schedule_turn", 1, {TEXTOID}, TIMESTAMPTZOID},
	[IU_CALL_CONFORMANCE] = {"fn_iu_conformance_problems"},
	[IU_CALL_TROUBLES] = {"fn_iu_gate_troubles"},
	[IU_CALL_PARTITIONS] = {"fn_iu_attempt_partitions_tend"},
	[IU_CALL_CERTIFICATES] = {"fn_iu_certificate_troubles"},
};

/* What this process has found out. */
typedef struct Known
{
	uint64		catalogs;		/* which state of the catalogs; grows with each change */
	uint64		extension_at;	/* in which the extension was looked for; 0: never */
	bool		extension;		/* with this result */
	struct
	{
		uint64		at;			/* in which the function was looked for; 0: never */
		bool		exists;		/* with this result */
		SPIPlanPtr	plan;		/* NULL: not made yet */
	}			functions[IU_CALLS];
} Known;

static Known known = {.catalogs = 1};

static void
on_catalog_change(Datum arg, int cache, uint32 hash)
{
	known.catalogs++;
}

/* Called once, by each worker that is connected to a database. */
void
iu_calls_init(void)
{
	CacheRegisterSyscacheCallback(PROCOID, on_catalog_change, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, on_catalog_change, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, on_catalog_change, (Datum) 0);
}

/* The extension brings functions of its own, so that its coming and going changes pg_proc. */
static bool
extension_exists(void)
{
	uint64		catalogs = known.catalogs;

	if (known.extension_at != catalogs)
	{
		known.extension = OidIsValid(get_extension_oid("iu_core", true));
		known.extension_at = catalogs;
	}
	return known.extension;
}

/*
 * Raises where the function belongs to somebody whose functions are not called.
 * A change that is noticed during the look-up makes the next call look again.
 */
static bool
function_exists(IuCall call)
{
	const Function *function = &functions[call];
	uint64		catalogs = known.catalogs;

	if (known.functions[call].at != catalogs)
	{
		known.functions[call].exists =
			OidIsValid(iu_policy_function(function->name, function->argument_count, function->argument_types));
		known.functions[call].at = catalogs;
	}
	return known.functions[call].exists;
}

/* IU_RUNNING if the extension and all of these functions exist, otherwise the state that says what is missing. */
IuWorkerState
iu_calls_readiness(const IuCall *calls, int count)
{
	int			i;

	if (!extension_exists())
		return IU_EXTENSION_ABSENT;
	for (i = 0; i < count; i++)
		if (!function_exists(calls[i]))
			return IU_NOTHING_MIGRATED;
	return IU_RUNNING;
}

static SPIPlanPtr
prepare(const Function *function)
{
	StringInfoData query;
	SPIPlanPtr	plan;
	int			i;

	initStringInfo(&query);
	appendStringInfo(&query, "SELECT * FROM " IU_POLICY_SCHEMA ".%s(", function->name);
	for (i = 1; i <= function->argument_count; i++)
		appendStringInfo(&query, i == 1 ? "$%d" : ", $%d", i);
	appendStringInfoChar(&query, ')');
	plan = SPI_prepare(query.data, function->argument_count, unconstify(Oid *, &function->argument_types[0]));
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query.data, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}

/*
 * SELECT * FROM the function: rows in SPI_tuptable, as many as SPI_processed.
 *
 * nulls: of the arguments, 'n' for one that is null, ' ' for the others; NULL:
 * none is.
 */
void
iu_call_with_nulls(IuCall call, Datum *arguments, const char *nulls)
{
	const Function *function = &functions[call];
	int			result;

	if (!function_exists(call))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function " IU_POLICY_SCHEMA ".%s() is gone", function->name),
				 errhint("Apply the migrations: SELECT * FROM iu_core.migrate();"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_worker_function")));
	if (known.functions[call].plan == NULL)
		known.functions[call].plan = prepare(function);
	result = SPI_execute_plan(known.functions[call].plan, arguments, nulls, false, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not call %s: %s", function->name, SPI_result_code_string(result));
}

/* The same without arguments that are null. */
void
iu_call(IuCall call, Datum *arguments)
{
	iu_call_with_nulls(call, arguments, NULL);
}

/* The single value that the last call returned, null where there was no row. Raises for another type. */
static Datum
single_value(const Function *function, bool *null)
{
	*null = true;
	if (SPI_gettypeid(SPI_tuptable->tupdesc, 1) != function->value)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function " IU_POLICY_SCHEMA ".%s() returned type %s instead of %s", function->name,
						format_type_be(SPI_gettypeid(SPI_tuptable->tupdesc, 1)), format_type_be(function->value)),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_worker_result")));
	return SPI_processed == 0 ? (Datum) 0 : iu_row_value(0, 1, null);
}

/* Calls a function that returns a single value. A function that returns no row gives null. */
Datum
iu_call_for_value_with_nulls(IuCall call, Datum *arguments, const char *nulls, bool *null)
{
	iu_call_with_nulls(call, arguments, nulls);
	return single_value(&functions[call], null);
}

/* The same without arguments that are null. */
Datum
iu_call_for_value(IuCall call, Datum *arguments, bool *null)
{
	return iu_call_for_value_with_nulls(call, arguments, NULL, null);
}

/* Which numbers these columns have in the rows of the last call. */
void
iu_row_columns(const IuColumn *columns, int count, int *numbers)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		numbers[i] = SPI_fnumber(SPI_tuptable->tupdesc, columns[i].name);
		if (numbers[i] <= 0 || SPI_gettypeid(SPI_tuptable->tupdesc, numbers[i]) != columns[i].type)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("the rows that a function returned have no column \"%s\" of type %s",
							columns[i].name, format_type_be(columns[i].type)),
					 errdetail("Column: %s; type: %s.", columns[i].name, format_type_be(columns[i].type)),
					 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_worker_result")));
	}
}

/* The value of a column, by its number. It lasts as long as the rows. */
Datum
iu_row_value(uint64 row, int number, bool *null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, null);
}

/* The value of a column that may not be null. */
Datum
iu_row_required(uint64 row, int number)
{
	bool		null;
	Datum		value = iu_row_value(row, number, &null);

	if (null)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"%s\" is null in a row that a function returned",
						NameStr(TupleDescAttr(SPI_tuptable->tupdesc, number - 1)->attname)),
				 errdetail("Column: %s.", NameStr(TupleDescAttr(SPI_tuptable->tupdesc, number - 1)->attname)),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_worker_result_null")));
	return value;
}

/* A column of type text, palloc'd; NULL for null. */
char *
iu_row_text(uint64 row, int number)
{
	bool		null;
	Datum		value = iu_row_value(row, number, &null);

	return null ? NULL : TextDatumGetCString(value);
}
