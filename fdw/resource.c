/*-------------------------------------------------------------------------
 *
 * resource.c
 *	  What a remote's resource may call while it is scanned: it learns what
 *	  the query is, asks, and hands over rows, counts or failures.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/settings.h"
#include "fdw/failure.h"
#include "fdw/keys.h"
#include "fdw/pending.h"
#include "fdw/resource.h"
#include "fdw/scan_state.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define LIGHTER 4				/* so many times fewer rows, where a page weighed too much */

/* ---- what the query is ---- */

/* What is known of the query without running it. */
const IuQuery *
iu_scan_query(IuScan *scan)
{
	return &scan->query;
}

/* Whether the query, or the table's option "collection", gives keys of this role. */
bool
iu_scan_restricts(IuScan *scan, IuRole role)
{
	return scan->query.restricted[role];
}

/*
 * The keys of this role: distinct C strings, none of them NULL; of a filter at
 * most one, the text of a jsonb value. NIL where the role is restricted means
 * that nothing can match.
 */
List *
iu_scan_keys(IuScan *scan, IuRole role)
{
	return scan->query.restricted[role] ? scan->keys[role] : NIL;
}

/*
 * Whether the list of all collections must be asked for: the query names none,
 * or the names that it has come from rows. Those are looked for in the list, so
 * that a join finds the same collections under every plan: it may as well read
 * all and compare. What the remote knows by a name that is not in the list, as
 * an alias, is found only where the text of the query names it. The list is
 * asked for once in a scan.
 */
bool
iu_scan_lists(IuScan *scan)
{
	return !scan->query.restricted[IU_KEY_COLLECTION] || (scan->query.listed && !scan->list_known);
}

/* Whether the query asks for this collection, which is in the list of all. */
bool
iu_scan_takes(IuScan *scan, const char *collection)
{
	MemoryContext old;

	if (!scan->query.listed)
		return true;
	old = MemoryContextSwitchTo(scan->context);
	scan->listed = lappend(scan->listed, pstrdup(collection));
	MemoryContextSwitchTo(old);
	return iu_keys_hold(scan->keys[IU_KEY_COLLECTION], collection);
}

/* The list has been read: iu_scan_takes was asked about each collection in it. */
void
iu_scan_has_list(IuScan *scan)
{
	iu_keys_sort(scan->listed);
	scan->list_known = true;
}

/*
 * The remote refuses the list. True if the query can do without, by looking the
 * names up one by one: the resource is to start again. (A plan that reads the
 * list and compares is refused then: there is none that gives other rows.)
 */
bool
iu_scan_forgoes_list(IuScan *scan)
{
	if (!scan->query.listed)
		return false;
	scan->query.listed = false;
	return true;
}

/* Whether the query looks at this column of the resource. */
bool
iu_scan_wants(IuScan *scan, int column)
{
	return bms_is_member(column, scan->query.wants);
}

/* Whether the query looks at typed columns. *names becomes the names of their fields, C strings; names may be NULL. */
bool
iu_scan_wants_fields(IuScan *scan, List **names)
{
	if (names != NULL)
		*names = scan->query.fields;
	return scan->query.fields != NIL;
}

/* Whether the query is a count(*): then counts are to be handed over, not rows. */
bool
iu_scan_counts(IuScan *scan)
{
	return scan->query.counts;
}

/* The option of the table, else of the server, else NULL. */
const char *
iu_scan_option(IuScan *scan, const char *name)
{
	return iu_query_option(&scan->query, name);
}

/* ---- asking ---- */

/* How many rows to ask for at once. */
int
iu_scan_page_size(IuScan *scan)
{
	return scan->page_size;
}

/*
 * Asks for fewer rows at once from here on, after the remote has said how many
 * it gives at most. False if there were no more than that already.
 */
bool
iu_scan_shrink_page(IuScan *scan, int most)
{
	if (most < 1 || most >= scan->page_most)
		return false;
	scan->page_most = most;
	scan->page_size = Min(scan->page_size, most);
	return true;
}

/*
 * Asks for fewer rows at once from here on, after so many weighed more than
 * iu_core.max_response_size. False for one row, which cannot be less.
 */
bool
iu_scan_lighten_page(IuScan *scan, int rows)
{
	if (rows <= 1)
		return false;
	scan->page_size = Min(scan->page_size, Max(rows / LIGHTER, 1));
	return true;
}

/*
 * How many rows to ask for at once after a page came, which is being read: more
 * again where it weighed little.
 *
 * rows, most: what it was asked for, and what may be asked for at all.
 */
int
iu_scan_next_size(IuScan *scan, int rows, int most)
{
	if (scan->answer_bytes < (size_t) iu_max_response_kb * 1024 / (2 * LIGHTER))
		return rows > most / 2 ? most : rows * 2;
	return Min(rows, most);
}

/* A page of so many rows came, and is being read: the next one may be larger if it weighed little. */
void
iu_scan_page_came(IuScan *scan, int rows)
{
	if (rows >= scan->page_size)
		scan->page_size = iu_scan_next_size(scan, scan->page_size, scan->page_most);
}

/* How many seconds the remote may take for a request that is made now. */
int
iu_scan_seconds(IuScan *scan)
{
	int			seconds = iu_session_seconds(&scan->session);

	return scan->seconds_most > 0 ? Min(seconds, scan->seconds_most) : seconds;
}

/*
 * Allows the remote fewer seconds from here on, after it has said how many it
 * takes at most. False if there were no more than that already.
 */
bool
iu_scan_limit_seconds(IuScan *scan, int most)
{
	if (most < 1 || (scan->seconds_most > 0 && most >= scan->seconds_most))
		return false;
	scan->seconds_most = most;
	return true;
}

/*
 * Asks for something; the answer comes to the resource's answered() or
 * refused(). What an answer leads to goes out at once, to be under way while
 * the answer's rows are read; unless those may be all that LIMIT asks for.
 */
void
iu_scan_fetch(IuScan *scan, const IuFetch *fetch)
{
	IuPending  *pending = iu_pending_create(scan->run_context, fetch);
	MemoryContext old;

	if (!scan->in_answer || scan->limit < 0)
	{
		iu_pending_send(pending, &scan->session);
		if (scan->in_answer)
			iu_session_start(&scan->session);
		return;
	}
	old = MemoryContextSwitchTo(scan->run_context);
	scan->held = lappend(scan->held, pending);
	MemoryContextSwitchTo(old);
}

/* The same, after so many seconds and after all that is under way has been answered. */
void
iu_scan_fetch_later(IuScan *scan, const IuFetch *fetch, int seconds)
{
	MemoryContext old = MemoryContextSwitchTo(scan->run_context);

	scan->later = lappend(scan->later, iu_pending_create(scan->run_context, fetch));
	scan->later_at = Max(scan->later_at, iu_clock_ms() + seconds * INT64CONST(1000));
	MemoryContextSwitchTo(old);
}

/* ---- handing over ---- */

/*
 * Hands over a row, which is copied.
 *
 * values, nulls: one per column of the resource; fields: the object that the
 * typed columns are read from, NULL where the row has none.
 */
void
iu_scan_row(IuScan *scan, const Datum *values, const bool *nulls, const IuJson *fields)
{
	scan->rows.secret = scan->session.secret;
	iu_rows_add(&scan->rows, values, nulls, fields);
}

/*
 * Hands over a count, where iu_scan_counts says so. Counts are summed, or
 * grouped by collection. What could not be counted is told by iu_scan_fail.
 */
void
iu_scan_count(IuScan *scan, const char *collection, int64 count)
{
	iu_rows_count(&scan->rows, collection, count);
}

/*
 * Hands over the row that stands for a lookup that failed: the key, the error
 * and NULLs. False if the resource has no column "error".
 */
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
			const char *detail = iu_failure_hide(failure->detail, scan->session.secret);

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

/*
 * Something could not be had. With option "on_error" 'null' a lookup that
 * failed becomes a row, where the resource has a column "error"; anything else
 * raises.
 *
 * key: the collection it is about; NULL: the listing of collections.
 */
void
iu_scan_fail(IuScan *scan, const char *key, const IuFailure *failure)
{
	if (key != NULL && scan->table->null_on_error && add_failure_row(scan, key, failure))
		return;
	iu_failure_raise(scan->table->server, key, failure, scan->session.secret);
}

/*
 * Fails: one row alone is larger than an answer may be.
 *
 * id: of the row; NULL where it could not be found out.
 */
void
iu_scan_fail_for_weight(IuScan *scan, const char *key, const char *id)
{
	IuFailure	failure = {ERRCODE_PROGRAM_LIMIT_EXCEEDED, "iu_remote_answer_too_large"};

	failure.reason = "one row alone is larger than an answer may be";
	failure.detail = psprintf("The row has the id \"%s\". "
							  "An answer may be as large as iu_core.max_response_size, %d kB.",
							  id ? id : "?", iu_max_response_kb);
	failure.hint = "Leave out the columns that are large, or raise iu_core.max_response_size.";
	iu_scan_fail(scan, key, &failure);
}

/* ---- memory ---- */

/* Zeroed memory that lives until the next rescan. */
void *
iu_scan_alloc(IuScan *scan, Size size)
{
	return MemoryContextAllocZero(scan->run_context, size);
}

/* A copy that lives until the next rescan. */
char *
iu_scan_strdup(IuScan *scan, const char *text)
{
	return MemoryContextStrdup(scan->run_context, text);
}

/* Memory that lives as long as the scan, rescans included: the same at each call, and zeroed at the first. */
void *
iu_scan_keep(IuScan *scan, Size size)
{
	if (scan->kept == NULL)
		scan->kept = MemoryContextAllocZero(scan->context, size);
	return scan->kept;
}

/* The memory context of what iu_scan_keep keeps. */
MemoryContext
iu_scan_memory(IuScan *scan)
{
	return scan->context;
}
