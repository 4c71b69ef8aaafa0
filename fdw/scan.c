/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  One reading of a foreign table: requests, answers, and what a resource
 *	  may call in between.
 *
 * Everything of a scan hangs below its memory context, the connections
 * included, so that an error or a cancel needs no clean-up of its own. Memory
 * is bounded by what is outstanding and the rows of one answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/failure.h"
#include "fdw/scan.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define REQUESTS_EACH 3			/* at once, about one collection */

/* ---- what resources call ---- */

const IuQuery *
iu_scan_query(IuScan *scan)
{
	return &scan->query;
}

bool
iu_scan_restricts(IuScan *scan, IuRole role)
{
	return scan->query.restricted[role];
}

List *
iu_scan_keys(IuScan *scan, IuRole role)
{
	return scan->query.restricted[role] ? scan->keys[role] : NIL;
}

bool
iu_scan_wants(IuScan *scan, int column)
{
	return bms_is_member(column, scan->query.wants);
}

bool
iu_scan_wants_fields(IuScan *scan, List **names)
{
	if (names != NULL)
		*names = scan->query.fields;
	return scan->query.fields != NIL;
}

bool
iu_scan_counts(IuScan *scan)
{
	return scan->query.counts;
}

int
iu_scan_page_size(IuScan *scan)
{
	return scan->page_size;
}

bool
iu_scan_shrink_page(IuScan *scan, int most)
{
	if (most < 1 || most >= scan->page_size)
		return false;
	scan->page_size = most;
	return true;
}

const char *
iu_scan_option(IuScan *scan, const char *name)
{
	return iu_query_option(&scan->query, name);
}

void *
iu_scan_alloc(IuScan *scan, Size size)
{
	return MemoryContextAllocZero(scan->run_context, size);
}

char *
iu_scan_strdup(IuScan *scan, const char *text)
{
	return MemoryContextStrdup(scan->run_context, text);
}

void *
iu_scan_keep(IuScan *scan, Size size)
{
	if (scan->kept == NULL)
		scan->kept = MemoryContextAllocZero(scan->context, size);
	return scan->kept;
}

static IuFetch *
copy_fetch(IuScan *scan, const IuFetch *fetch, bool whole)
{
	IuFetch    *copy = MemoryContextAlloc(scan->run_context, sizeof(IuFetch));

	*copy = *fetch;
	copy->key = fetch->key ? iu_scan_strdup(scan, fetch->key) : NULL;
	copy->method = NULL;		/* the line has its own copies */
	copy->path = NULL;
	copy->body = NULL;
	if (whole)
	{
		copy->method = iu_scan_strdup(scan, fetch->method);
		copy->path = iu_scan_strdup(scan, fetch->path);
		copy->body = fetch->body ? iu_scan_strdup(scan, fetch->body) : NULL;
	}
	return copy;
}

static void
free_fetch(IuFetch *fetch)
{
	const char *const parts[] = {fetch->method, fetch->path, fetch->body, fetch->key};
	int			i;

	for (i = 0; i < lengthof(parts); i++)
		if (parts[i] != NULL)
			pfree(unconstify(char *, parts[i]));
	pfree(fetch);
}

/*
 * What an answer leads to goes out at once, to be under way while the
 * answer's rows are read; unless those may be all that LIMIT asks for.
 */
void
iu_scan_fetch(IuScan *scan, const IuFetch *fetch)
{
	MemoryContext old;

	if (!scan->in_answer || scan->limit < 0)
	{
		iu_line_send(&scan->line, fetch, copy_fetch(scan, fetch, false));
		if (scan->in_answer)
			iu_line_start(&scan->line);
		return;
	}
	old = MemoryContextSwitchTo(scan->run_context);
	scan->held = lappend(scan->held, copy_fetch(scan, fetch, true));
	MemoryContextSwitchTo(old);
}

static void
release_held(IuScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->answer_context);
	ListCell   *cell;

	foreach(cell, scan->held)
	{
		IuFetch    *fetch = lfirst(cell);

		iu_line_send(&scan->line, fetch, copy_fetch(scan, fetch, false));
		free_fetch(fetch);
	}
	list_free(scan->held);
	scan->held = NIL;
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->answer_context);
}

void
iu_scan_row(IuScan *scan, const Datum *values, const bool *nulls, const IuJson *fields)
{
	scan->rows.secret = scan->line.secret;
	iu_rows_add(&scan->rows, values, nulls, fields);
}

void
iu_scan_count(IuScan *scan, const char *collection, int64 count)
{
	iu_rows_count(&scan->rows, collection, count);
}

/* The row that stands for a lookup that failed; false: the resource has no such rows. */
static bool
add_failure_row(IuScan *scan, const char *key, const IuFailure *failure)
{
	const IuResource *resource = scan->table->resource;
	Datum		values[IU_MAX_COLUMNS] = {0};
	bool		nulls[IU_MAX_COLUMNS];
	bool		has_error = false;
	int			i;

	for (i = 0; i < resource->column_count; i++)
	{
		nulls[i] = true;
		if (i == resource->role_columns[IU_KEY_COLLECTION])
			values[i] = CStringGetTextDatum(key);
		else if (strcmp(resource->columns[i].name, "error") == 0)
		{
			const char *detail = iu_failure_hide(failure->detail, scan->line.secret);

			values[i] = CStringGetTextDatum(detail ? psprintf("%s: %s", failure->reason, detail)
											: failure->reason);
			has_error = true;
		}
		else
			continue;
		nulls[i] = false;
	}
	if (has_error)
		iu_rows_add(&scan->rows, values, nulls, NULL);
	return has_error;
}

void
iu_scan_fail(IuScan *scan, const char *key, const IuFailure *failure)
{
	if (key != NULL && scan->table->null_on_error && add_failure_row(scan, key, failure))
		return;
	iu_failure_raise(scan->table->server, key, failure, scan->line.secret);
}

/* ---- the scan ---- */

/* 0: nothing came that is an answer; a 200 is one only with JSON. */
static int
status_of_refusal(const IuHttpAnswer *answer)
{
	return answer->outcome == IU_HTTP_ANSWERED && answer->status != 200 ? answer->status : 0;
}

static void
handle_answer(IuScan *scan, const IuFetch *fetch, const IuHttpAnswer *answer)
{
	const IuResource *resource = scan->table->resource;
	char	   *problem;
	const IuJson *document = iu_line_document(answer, &problem);
	IuFailure	failure = {0};

	if (fetch->failed != NULL && *fetch->failed)
		return;
	if (document != NULL && answer->status == 200)
	{
		resource->answered(scan, fetch, document);
		return;
	}
	if (resource->refused != NULL &&
		resource->refused(scan, fetch, status_of_refusal(answer), document))
	{
		scan->retries++;
		return;
	}
	iu_failure_of_answer(&failure, scan->table->server->remote, fetch, answer, document, problem,
						 scan->line.secret);
	if (fetch->failed != NULL)
		*fetch->failed = true;
	iu_scan_fail(scan, fetch->key, &failure);
}

/* False: none came. */
static bool
take_answer(IuScan *scan, bool patient)
{
	MemoryContext old;
	IuHttpAnswer *answer;

	old = MemoryContextSwitchTo(scan->answer_context);
	answer = iu_line_wait(&scan->line, patient);
	if (answer != NULL)
	{
		scan->in_answer = true;
		handle_answer(scan, answer->owner, answer);
		scan->in_answer = false;
		free_fetch(answer->owner);
	}
	MemoryContextSwitchTo(old);
	if (answer == NULL)
		return false;
	MemoryContextReset(scan->answer_context);
	return true;
}

/* Names the one collection of the table, as far as the query's keys leave it. */
static List *
only_collection(IuScan *scan, List *keys, bool restricted)
{
	ListCell   *cell;

	if (!restricted)
		return list_make1(unconstify(char *, scan->table->collection));
	foreach(cell, keys)
		if (strcmp(lfirst(cell), scan->table->collection) == 0)
			return list_make1(lfirst(cell));
	return NIL;
}

/* Nothing equals none of the keys. */
static bool
can_match(const IuScan *scan)
{
	int			role;

	for (role = 0; role < IU_ROLES; role++)
		if (scan->query.restricted[role] && scan->keys[role] == NIL)
			return false;
	return true;
}

void
iu_scan_start(IuScan *scan, List **keys)
{
	MemoryContext old = MemoryContextSwitchTo(scan->run_context);
	const IuTable *table = scan->table;

	scan->started = true;
	scan->page_size = scan->query.page_size;
	memcpy(scan->keys, keys, sizeof(scan->keys));
	if (table->collection != NULL)
		scan->keys[IU_KEY_COLLECTION] = only_collection(scan, keys[IU_KEY_COLLECTION], scan->keyed_collection);
	MemoryContextSwitchTo(scan->answer_context);
	if (scan->query.restricted[IU_KEY_COLLECTION])
		iu_line_expect(&scan->line, Min(list_length(scan->keys[IU_KEY_COLLECTION]), PG_INT16_MAX) * REQUESTS_EACH);
	if (can_match(scan))
		table->resource->start(scan);
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->answer_context);
}

/* Whoever wants less than all rows gives the connections back with iu_scan_close. */
HeapTuple
iu_scan_next(IuScan *scan, bool patient, bool *unfinished)
{
	*unfinished = false;
	for (;;)
	{
		HeapTuple	row = iu_rows_take(&scan->rows);

		if (row != NULL)
			return row;
		release_held(scan);
		if (iu_line_pending(&scan->line) > 0)
		{
			if (!take_answer(scan, patient) && !patient)
			{
				*unfinished = true;
				return NULL;
			}
		}
		else if (scan->query.counts && !scan->counted)
		{
			scan->counted = true;
			iu_rows_finish_counts(&scan->rows);
		}
		else
		{
			iu_line_close(&scan->line);
			return NULL;
		}
	}
}

IuScan *
iu_scan_open(MemoryContext parent, IuTable *table, Oid user, const IuQuery *query, double limit,
			 TupleDesc descriptor, List *attributes)
{
	MemoryContext context = AllocSetContextCreate(parent, "iu_core foreign scan", ALLOCSET_SMALL_SIZES);
	IuScan	   *scan = MemoryContextAllocZero(context, sizeof(IuScan));

	scan->context = context;
	scan->run_context = AllocSetContextCreate(context, "iu_core requests", ALLOCSET_DEFAULT_SIZES);
	scan->answer_context = AllocSetContextCreate(context, "iu_core answer", ALLOCSET_DEFAULT_SIZES);
	scan->table = table;
	scan->query = *query;
	scan->query.table = table;
	scan->limit = limit;
	scan->keyed_collection = query->restricted[IU_KEY_COLLECTION];
	if (table->collection != NULL)
		scan->query.restricted[IU_KEY_COLLECTION] = true;
	iu_line_open(&scan->line, context, table->server, user);
	iu_rows_open(&scan->rows, context, table, descriptor, attributes);
	return scan;
}

void
iu_scan_reset(IuScan *scan)
{
	iu_line_close(&scan->line);
	scan->started = false;
	scan->counted = false;
	scan->in_answer = false;
	scan->held = NIL;
	iu_rows_reset(&scan->rows);
	MemoryContextReset(scan->answer_context);
	MemoryContextReset(scan->run_context);
}

void
iu_scan_close(IuScan *scan)
{
	iu_line_close(&scan->line);
	MemoryContextDelete(scan->context);
}
