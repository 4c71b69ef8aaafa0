/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Rows of a scan that were made and not yet taken.
 *
 * One answer's rows are made at once and live together until the last of them
 * is taken, so memory is bounded by a page.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/int.h"
#include "core/compat.h"
#include "fdw/failure.h"
#include "fdw/rows.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define FIRST_ROWS 64

typedef struct Count
{
	char	   *collection;
	int64		count;
} Count;

void
iu_rows_open(IuRows *rows, MemoryContext parent, const IuTable *table, TupleDesc descriptor,
			 List *attributes)
{
	ListCell   *cell;

	memset(rows, 0, sizeof(IuRows));
	rows->table = table;
	rows->descriptor = descriptor;
	rows->context = AllocSetContextCreate(parent, "iu_core rows", ALLOCSET_DEFAULT_SIZES);
	rows->fields = MemoryContextAllocZero(parent, sizeof(IuField *) * Max(descriptor->natts, 1));
	rows->values = MemoryContextAllocZero(parent, sizeof(Datum) * Max(descriptor->natts, 1));
	rows->nulls = MemoryContextAllocZero(parent, sizeof(bool) * Max(descriptor->natts, 1));
	foreach(cell, attributes)
	{
		int			i = lfirst_int(cell) - 1;

		if (table->column_of[i] != IU_FIELD_COLUMN)
			continue;
		rows->fields[i] = iu_field_open(parent, table->field_of[i], TupleDescAttr(descriptor, i));
		rows->has_fields = true;
	}
}

/* ---- making ---- */

/* What must not be dressed up as a value that does not fit. */
static bool
is_no_fault_of_the_value(int sqlstate)
{
	return sqlstate == ERRCODE_QUERY_CANCELED || sqlstate == ERRCODE_OUT_OF_MEMORY ||
		sqlstate == ERRCODE_ADMIN_SHUTDOWN || sqlstate == ERRCODE_CRASH_SHUTDOWN;
}

/* Which row it was: what the columns of the resource with these roles hold. */
static char *
name_of_row(const IuRows *rows, const Datum *values, const bool *nulls)
{
	const IuResource *resource = rows->table->resource;
	int			collection = resource->role_columns[IU_KEY_COLLECTION];
	int			id = resource->role_columns[IU_KEY_ID];

	return psprintf("Collection \"%s\", id \"%s\"",
					collection >= 0 && !nulls[collection] ? TextDatumGetCString(values[collection]) : "?",
					id >= 0 && !nulls[id] ? TextDatumGetCString(values[id]) : "?");
}

/* In the caller's memory context, because the error's own goes with it. */
static void
pass_on_error(const IuRows *rows, const char *column, const Datum *values, const bool *nulls,
			  MemoryContext context)
{
	ErrorData  *error;
	const char *row;

	MemoryContextSwitchTo(context);
	row = name_of_row(rows, values, nulls);
	error = CopyErrorData();
	if (is_no_fault_of_the_value(error->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg("column \"%s\" of foreign table \"%s\" cannot hold what the remote has",
					column, rows->table->name),
			 errdetail("%s", iu_failure_hide(psprintf("%s: %s.", row, error->message), rows->secret)),
			 errhint("Give the column a type that can hold it; jsonb holds everything.")));
}

static void
read_fields(IuRows *rows, const Datum *values, const bool *nulls, const IuJson *fields)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int i = 0;

	PG_TRY();
	{
		for (i = 0; i < rows->descriptor->natts; i++)
			if (rows->fields[i] != NULL)
				rows->values[i] = iu_field_read(rows->fields[i], iu_json_member(fields, rows->fields[i]->name),
												&rows->nulls[i]);
	}
	PG_CATCH();
	{
		pass_on_error(rows, NameStr(TupleDescAttr(rows->descriptor, i)->attname), values, nulls, context);
	}
	PG_END_TRY();
}

static void
keep(IuRows *rows)
{
	MemoryContext old = MemoryContextSwitchTo(rows->context);

	if (rows->made == NULL)
	{
		rows->capacity = FIRST_ROWS;
		rows->made = palloc(sizeof(HeapTuple) * rows->capacity);
	}
	else if (rows->count == rows->capacity)
	{
		rows->capacity *= 2;
		rows->made = repalloc_huge(rows->made, sizeof(HeapTuple) * rows->capacity);
	}
	rows->made[rows->count++] = heap_form_tuple(rows->descriptor, rows->values, rows->nulls);
	rows->total++;
	MemoryContextSwitchTo(old);
}

void
iu_rows_add(IuRows *rows, const Datum *values, const bool *nulls, const IuJson *fields)
{
	int			i;

	for (i = 0; i < rows->descriptor->natts; i++)
	{
		int			column = rows->table->column_of[i];

		rows->nulls[i] = column < 0 || nulls[column];
		rows->values[i] = rows->nulls[i] ? (Datum) 0 : values[column];
	}
	if (rows->has_fields)
		read_fields(rows, values, nulls, fields);
	keep(rows);
}

/* ---- counts ---- */

void
iu_rows_for_counts(IuRows *rows, MemoryContext count_context, List *output, bool grouped)
{
	rows->output = output;
	rows->grouped = grouped;
	rows->count_context = count_context;
}

static Count *
find_count(IuRows *rows, const char *collection)
{
	MemoryContext old;
	ListCell   *cell;
	Count	   *count;

	foreach(cell, rows->counts)
	{
		count = lfirst(cell);
		if (!rows->grouped || strcmp(count->collection, collection) == 0)
			return count;
	}
	old = MemoryContextSwitchTo(rows->count_context);
	count = palloc0(sizeof(Count));
	count->collection = pstrdup(collection);
	rows->counts = lappend(rows->counts, count);
	MemoryContextSwitchTo(old);
	return count;
}

void
iu_rows_count(IuRows *rows, const char *collection, int64 count)
{
	Count	   *sum = find_count(rows, collection);

	if (pg_add_s64_overflow(sum->count, count, &sum->count))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("bigint out of range")));
}

/* As SQL has it: one row where nothing is grouped, and no group of nothing. */
void
iu_rows_finish_counts(IuRows *rows)
{
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	ListCell   *cell;

	if (!rows->grouped)
		find_count(rows, "");
	foreach(cell, rows->counts)
	{
		const Count *count = lfirst(cell);
		ListCell   *output;
		int			i = 0;

		if (rows->grouped && count->count == 0)
			continue;
		foreach(output, rows->output)
		{
			rows->nulls[i] = false;
			rows->values[i++] = lfirst_int(output) == IU_OUTPUT_COUNT
				? Int64GetDatum(count->count)
				: CStringGetTextDatum(count->collection);
		}
		keep(rows);
	}
	rows->counts = NIL;
	MemoryContextSwitchTo(old);
}

/* ---- taking ---- */

HeapTuple
iu_rows_take(IuRows *rows)
{
	if (rows->taken < rows->count)
		return rows->made[rows->taken++];
	if (rows->made != NULL)
		MemoryContextReset(rows->context);
	rows->made = NULL;
	rows->count = rows->taken = 0;
	return NULL;
}

void
iu_rows_reset(IuRows *rows)
{
	rows->taken = rows->count;
	iu_rows_take(rows);
	rows->counts = NIL;
	rows->total = 0;
}
