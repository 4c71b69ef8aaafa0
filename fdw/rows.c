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
#include "catalog/pg_type.h"
#include "common/int.h"
#include "core/compat.h"
#include "core/errors.h"
#include "fdw/failure.h"
#include "fdw/nulls.h"
#include "fdw/room.h"
#include "fdw/rows.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#define FIRST_ROWS 64
#define ROWS_MEMORY "iu_core rows"

typedef struct CollectionCount
{
	char	   *collection;
	int64		count;
} CollectionCount;

/*
 * Gets ready to make rows.
 *
 * parent: their memory hangs below this context; descriptor: of the rows;
 * attributes: int list, the numbers of the table's columns that the query looks
 * at.
 */
void
iu_rows_open(IuRows *rows, MemoryContext parent, const IuTable *table, TupleDesc descriptor,
			 List *attributes)
{
	ListCell   *cell;

	memset(rows, 0, sizeof(IuRows));
	rows->table = table;
	rows->descriptor = descriptor;
	rows->context = AllocSetContextCreate(parent, ROWS_MEMORY, ALLOCSET_DEFAULT_SIZES);
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
		rows->follow_settings |= iu_field_follows_settings(TupleDescAttr(descriptor, i)->atttypid);
	}
}

/* ---- making ---- */

/* A row for a message: its collection and its id, as far as it has them. */
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

/*
 * Raises an error that was caught while a value was made: if it is one of the
 * data, as one that names row and column; otherwise as it was.
 *
 * value: that does not fit; context: for what the message needs, as the error's
 * own is reset with it.
 */
static void
raise_for_column(const IuRows *rows, const char *column, const Datum *values, const bool *nulls,
				 const IuJson *value, MemoryContext context)
{
	ErrorData  *error;
	const char *row;
	const char *words;

	MemoryContextSwitchTo(context);
	row = name_of_row(rows, values, nulls);
	error = CopyErrorData();
	if (!iu_error_is_of_data(error->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();
	/* the words may quote the beginning of the value, and with it half of a secret */
	words = error->message;
	if (value != NULL && iu_failure_hides(iu_json_whole_text(value), rows->secret))
		words = "what it has is left out, as it quotes the secret";
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg("column \"%s\" of foreign table \"%s\" cannot hold what the remote has",
					column, rows->table->name),
			 errdetail("%s", iu_failure_hide(psprintf("%s: %s.", row, words), rows->secret)),
			 errhint("Give the column a type that can hold it; jsonb holds everything."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_foreign_value")));
}

/* Raises: the row holds a null character. */
static void
raise_for_null_character(const IuRows *rows, const Datum *values, const bool *nulls)
{
	char	   *row = iu_nulls_show(name_of_row(rows, values, nulls));

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg("foreign table \"%s\" cannot hold what the remote has", rows->table->name),
			 errdetail("%s: a text holds the null character (\\u0000), or half of a surrogate pair, "
					   "which no type of PostgreSQL can hold.",
					   iu_failure_hide(row, rows->secret)),
			 errhint("Mend it in the remote, or say by option \"null_character\" of the table or the server "
					 "what becomes of it: replace, remove."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_foreign_null_character")));
}

/* Raises if a row holds a null character in what the query looks at. Arguments as for iu_rows_add. */
static void
check_null_characters(const IuRows *rows, const Datum *values, const bool *nulls, const IuJson *fields)
{
	const IuResource *resource = rows->table->resource;
	bool		found = false;
	int			i;

	for (i = 0; i < resource->column_count && !found; i++)
	{
		if (nulls[i])
			continue;
		if (resource->columns[i].type == TEXTOID)
			found = iu_nulls_mark_is_in(TextDatumGetCString(values[i]));
		else if (resource->columns[i].type == JSONBOID)
			found = iu_nulls_mark_is_in(JsonbToCString(NULL, &DatumGetJsonbP(values[i])->root, 0));
	}
	if (!found && rows->has_fields && fields != NULL)
		found = iu_nulls_mark_is_in(iu_json_whole_text(fields));
	if (found)
		raise_for_null_character(rows, values, nulls);
}

/* Makes the values of the typed columns of a row. */
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
		raise_for_column(rows, NameStr(TupleDescAttr(rows->descriptor, i)->attname), values, nulls,
						 iu_json_member(fields, rows->fields[i]->name), context);
	}
	PG_END_TRY();
}

/* Clears what a query may ask for by xmin, xmax and cmin: heap_form_tuple leaves something else there. */
static void
clear_system_columns(HeapTuple row)
{
	HeapTupleHeaderSetXmin(row->t_data, InvalidTransactionId);
	HeapTupleHeaderSetXmax(row->t_data, InvalidTransactionId);
	HeapTupleHeaderSetCmin(row->t_data, InvalidTransactionId);
}

/* Makes the row of the current values. */
static void
make_row(IuRows *rows)
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
	rows->made[rows->count] = heap_form_tuple(rows->descriptor, rows->values, rows->nulls);
	clear_system_columns(rows->made[rows->count++]);
	MemoryContextSwitchTo(old);
}

/*
 * Adds a row; arguments as for iu_scan_row. Raises where a typed column cannot
 * hold what the remote has.
 */
void
iu_rows_add(IuRows *rows, const Datum *values, const bool *nulls, const IuJson *fields)
{
	int			i;

	CHECK_FOR_INTERRUPTS();
	if (rows->marked)
		check_null_characters(rows, values, nulls, fields);
	for (i = 0; i < rows->descriptor->natts; i++)
	{
		int			column = rows->table->column_of[i];

		rows->nulls[i] = column < 0 || nulls[column];
		rows->values[i] = rows->nulls[i] ? (Datum) 0 : values[column];
	}
	if (rows->has_fields)
		read_fields(rows, values, nulls, fields);
	make_row(rows);
}

/* ---- counts ---- */

/*
 * From here on counts come instead of rows.
 *
 * count_context: of the counts, until they become rows; output: int list of
 * what each column shows; grouped: a row for each collection, not one of the
 * sum.
 */
void
iu_rows_for_counts(IuRows *rows, MemoryContext count_context, List *output, bool grouped)
{
	rows->output = output;
	rows->grouped = grouped;
	rows->count_context = count_context;
}

/* The count of this collection, or if nothing is grouped, of all; made where there is none. */
static CollectionCount *
find_count(IuRows *rows, const char *collection)
{
	MemoryContext old;
	ListCell   *cell;
	CollectionCount *count;

	foreach(cell, rows->counts)
	{
		count = lfirst(cell);
		if (!rows->grouped || strcmp(count->collection, collection) == 0)
			return count;
	}
	old = MemoryContextSwitchTo(rows->count_context);
	count = palloc0(sizeof(CollectionCount));
	count->collection = pstrdup(collection);
	rows->counts = lappend(rows->counts, count);
	MemoryContextSwitchTo(old);
	return count;
}

/* Adds to the count of a collection. */
void
iu_rows_count(IuRows *rows, const char *collection, int64 count)
{
	CollectionCount *sum = find_count(rows, collection);

	if (pg_add_s64_overflow(sum->count, count, &sum->count))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("bigint out of range"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_foreign_count")));
}

/*
 * Turns the counts into rows, once. As in SQL, there is one row where nothing
 * is grouped, and no group without rows.
 */
void
iu_rows_finish_counts(IuRows *rows)
{
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	ListCell   *cell;

	if (!rows->grouped)
		find_count(rows, "");
	foreach(cell, rows->counts)
	{
		const CollectionCount *count = lfirst(cell);
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
		make_row(rows);
	}
	rows->counts = NIL;
	MemoryContextSwitchTo(old);
}

/* ---- taking ---- */

/* The next row; NULL if all have been taken, and then their memory is free again. */
HeapTuple
iu_rows_take(IuRows *rows)
{
	if (rows->taken < rows->count)
		return rows->made[rows->taken++];
	if (rows->made != NULL)
		rows->context = iu_room_empty(rows->context, ROWS_MEMORY, &rows->kept);
	rows->made = NULL;
	rows->count = rows->taken = 0;
	return NULL;
}

/* Forgets all rows and counts. */
void
iu_rows_reset(IuRows *rows)
{
	rows->taken = rows->count;
	iu_rows_take(rows);
	rows->counts = NIL;
}
