/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Execution of foreign scans: keys, requests, answers, rows.
 *
 * Everything of a scan hangs below its memory context, the connections
 * included, so that an error or a cancel needs no clean-up of its own. Memory
 * is bounded by what is outstanding and the rows of one answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "executor/executor.h"
#include "fdw/failure.h"
#include "fdw/options.h"
#include "fdw/plan.h"
#include "fdw/pool.h"
#include "fdw/scan.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define KEYS_SHOWN 10

struct IuScan
{
	MemoryContext context;		/* the whole scan */
	MemoryContext run_context;	/* from one start to the next rescan */
	MemoryContext row_context;	/* rows handed over and not yet returned */
	MemoryContext answer_context;	/* while one answer is read */

	IuTable    *table;
	Oid			user;
	bool		keyed;
	bool		key_only;
	List	   *key_states;		/* ExprState */
	List	   *key_arrays;		/* int list beside it */
	ExprContext *expressions;
	TupleDesc	descriptor;

	bool		started;
	List	   *keys;			/* distinct C strings */
	IuPool	   *pool;			/* NULL until something is asked for */
	const char *secret;			/* NULL: none */
	const char **headers;
	List	   *rows;			/* HeapTuple */
	int			next_row;

	int64		requests;
	int64		bytes;
};

/* ---- keys ---- */

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static List *
add_array_keys(List *keys, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			i;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (i = 0; i < count; i++)
		if (!nulls[i])
			keys = lappend(keys, TextDatumGetCString(elements[i]));
	return keys;
}

/* NULL equals nothing, so it asks for nothing. */
static List *
evaluate_keys(IuScan *scan)
{
	List	   *keys = NIL;
	List	   *distinct = NIL;
	ListCell   *cell;
	ListCell   *is_array;

	forboth(cell, scan->key_states, is_array, scan->key_arrays)
	{
		bool		is_null;
		Datum		value = ExecEvalExprSwitchContext(lfirst(cell), scan->expressions, &is_null);

		if (is_null)
			continue;
		if (lfirst_int(is_array))
			keys = add_array_keys(keys, DatumGetArrayTypeP(value));
		else
			keys = lappend(keys, TextDatumGetCString(value));
	}

	list_sort(keys, compare_names);
	foreach(cell, keys)
		if (distinct == NIL || strcmp(llast(distinct), lfirst(cell)) != 0)
			distinct = lappend(distinct, lfirst(cell));
	return distinct;
}

/* ---- what resources call ---- */

bool
iu_scan_is_keyed(IuScan *scan)
{
	return scan->keyed;
}

bool
iu_scan_is_key_only(IuScan *scan)
{
	return scan->key_only;
}

List *
iu_scan_keys(IuScan *scan)
{
	return scan->keys;
}

char *
iu_encode_segment(const char *text)
{
	const char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	StringInfoData encoded;
	const char *c;

	initStringInfo(&encoded);
	for (c = utf8; *c != '\0'; c++)
	{
		if (isascii((unsigned char) *c) && (isalnum((unsigned char) *c) || strchr("-._~", *c)))
			appendStringInfoChar(&encoded, *c);
		else
			appendStringInfo(&encoded, "%%%02X", (unsigned char) *c);
	}
	return encoded.data;
}

char *
iu_from_remote(const char *text)
{
	char	   *converted = pg_any_to_server(text, strlen(text), PG_UTF8);

	return converted == text ? pstrdup(text) : converted;
}

/* Pool and headers, once something is to be asked. */
static void
connect_scan(IuScan *scan)
{
	const IuRemote *remote = scan->table->remote;
	MemoryContext old = MemoryContextSwitchTo(scan->context);
	int			n = 0;

	if (scan->headers == NULL)
	{
		scan->secret = iu_table_secret(scan->table, scan->user);
		scan->headers = palloc0(4 * sizeof(char *));
		scan->headers[n++] = "Accept: application/json";
		scan->headers[n++] = "Content-Type: application/json";
		if (scan->secret != NULL)
			scan->headers[n++] = psprintf(remote->secret_header, scan->secret);
	}
	scan->pool = iu_pool_take(scan->context, scan->table->server_id, scan->table->connections);
	MemoryContextSwitchTo(old);
}

static IuFetch *
copy_fetch(IuScan *scan, const IuFetch *fetch)
{
	MemoryContext old = MemoryContextSwitchTo(scan->run_context);
	IuFetch    *copy = palloc(sizeof(IuFetch));

	*copy = *fetch;
	copy->key = fetch->key ? pstrdup(fetch->key) : NULL;
	copy->path = NULL;			/* the client has its own copy */
	copy->body = NULL;
	MemoryContextSwitchTo(old);
	return copy;
}

void
iu_scan_fetch(IuScan *scan, const IuFetch *fetch)
{
	IuHttpRequest request = {0};

	CHECK_FOR_INTERRUPTS();		/* there may be a million keys */
	if (scan->pool == NULL)
		connect_scan(scan);
	request.method = fetch->method;
	request.url = psprintf("%s%s", scan->table->url, fetch->path);
	request.headers = scan->headers;
	request.body = fetch->body;
	request.body_length = fetch->body ? strlen(fetch->body) : 0;
	request.timeout_ms = scan->table->timeout_ms;
	request.owner = copy_fetch(scan, fetch);
	scan->requests++;
	iu_http_submit(scan->pool->http, &request);
}

void
iu_scan_row(IuScan *scan, const Datum *values, const bool *nulls)
{
	MemoryContext old = MemoryContextSwitchTo(scan->row_context);
	int			count = scan->table->attribute_count;
	Datum	   *row_values = palloc0(sizeof(Datum) * count);
	bool	   *row_nulls = palloc(sizeof(bool) * count);
	int			i;

	for (i = 0; i < count; i++)
	{
		int			column = scan->table->column_of[i];

		row_nulls[i] = column < 0 || nulls[column];
		if (!row_nulls[i])
			row_values[i] = values[column];
	}
	scan->rows = lappend(scan->rows, heap_form_tuple(scan->descriptor, row_values, row_nulls));
	MemoryContextSwitchTo(old);
}

/* The row that stands for a lookup that failed. */
static void
add_failure_row(IuScan *scan, const char *key, const IuFailure *failure)
{
	const IuResource *resource = scan->table->resource;
	Datum		values[IU_MAX_COLUMNS] = {0};
	bool		nulls[IU_MAX_COLUMNS];
	int			i;

	for (i = 0; i < resource->column_count; i++)
	{
		nulls[i] = true;
		if (i == resource->key_column)
			values[i] = CStringGetTextDatum(key);
		else if (strcmp(resource->columns[i].name, "error") == 0)
			values[i] = CStringGetTextDatum(failure->detail
											? psprintf("%s: %s", failure->reason, failure->detail)
											: failure->reason);
		else
			continue;
		nulls[i] = false;
	}
	iu_scan_row(scan, values, nulls);
}

void
iu_scan_fail(IuScan *scan, const char *key, const IuFailure *failure)
{
	if (key != NULL && scan->table->null_on_error)
	{
		add_failure_row(scan, key, failure);
		return;
	}
	ereport(ERROR,
			(errcode(failure->sqlstate),
			 key ? errmsg("could not read collection \"%s\" of foreign server \"%s\": %s",
						  key, scan->table->server_name, failure->reason)
			 : errmsg("could not list the collections of foreign server \"%s\": %s",
					  scan->table->server_name, failure->reason),
			 failure->detail ? errdetail("%s", failure->detail) : 0,
			 failure->hint ? errhint("%s", failure->hint) : 0));
}

/* ---- the scan ---- */

static void
handle_answer(IuScan *scan, const IuHttpAnswer *answer)
{
	const IuFetch *fetch = answer->owner;
	const IuJson *document = NULL;
	char	   *problem = NULL;
	IuFailure	failure = {0};

	scan->bytes += answer->body.len;
	if (answer->outcome == IU_HTTP_ANSWERED && answer->body.len > 0)
		document = iu_json_parse(answer->body.data, answer->body.len, &problem);
	if (document != NULL && answer->status == 200)
	{
		scan->table->resource->answered(scan, fetch, document);
		return;
	}
	iu_failure_of_answer(&failure, scan->table->remote, fetch, answer, document, problem, scan->secret);
	iu_scan_fail(scan, fetch->key, &failure);
}

static void
wait_for_answer(IuScan *scan)
{
	static uint32 wait_event = 0;
	MemoryContext old;
	IuHttpAnswer *answer;

	if (wait_event == 0)
		wait_event = iu_wait_event("IuCoreRemote");
	MemoryContextReset(scan->answer_context);
	old = MemoryContextSwitchTo(scan->answer_context);
	if (iu_http_wait(scan->pool->http, -1, wait_event, &answer) == IU_HTTP_EVENT_ANSWER)
	{
		IuFetch    *fetch = answer->owner;

		handle_answer(scan, answer);
		if (fetch->key)
			pfree(unconstify(char *, fetch->key));
		pfree(fetch);
	}
	MemoryContextSwitchTo(old);
}

static void
start_scan(IuScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->run_context);

	scan->started = true;
	scan->keys = scan->keyed ? evaluate_keys(scan) : NIL;
	MemoryContextSwitchTo(scan->answer_context);
	if (!scan->keyed || scan->keys != NIL)
		scan->table->resource->start(scan);
	MemoryContextSwitchTo(old);
}

TupleTableSlot *
iu_scan_next(ForeignScanState *node)
{
	IuScan	   *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	for (;;)
	{
		if (scan->next_row < list_length(scan->rows))
			return ExecStoreHeapTuple(list_nth(scan->rows, scan->next_row++), slot, false);

		scan->rows = NIL;
		scan->next_row = 0;
		MemoryContextReset(scan->row_context);
		if (!scan->started)
			start_scan(scan);
		else if (scan->pool == NULL || iu_http_pending(scan->pool->http) == 0)
			return slot;
		else
			wait_for_answer(scan);
	}
}

void
iu_scan_begin(ForeignScanState *node, int flags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List	   *private = plan->fdw_private;
	List	   *plan_flags = list_nth(private, IU_PLAN_FLAGS);
	MemoryContext context = AllocSetContextCreate(node->ss.ps.state->es_query_cxt,
												  "iu_core foreign scan", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IuScan	   *scan = palloc0(sizeof(IuScan));

	scan->context = context;
	scan->run_context = AllocSetContextCreate(context, "iu_core requests", ALLOCSET_DEFAULT_SIZES);
	scan->row_context = AllocSetContextCreate(context, "iu_core rows", ALLOCSET_DEFAULT_SIZES);
	scan->answer_context = AllocSetContextCreate(context, "iu_core answer", ALLOCSET_DEFAULT_SIZES);

	scan->table = iu_table_open(iu_remote_by_name(strVal(list_nth(private, IU_PLAN_REMOTE))),
								RelationGetRelid(node->ss.ss_currentRelation));
	scan->user = linitial_oid(list_nth(private, IU_PLAN_USER));
	if (!OidIsValid(scan->user))
		scan->user = GetUserId();
	scan->keyed = linitial_int(plan_flags);
	scan->key_only = lsecond_int(plan_flags);
	scan->key_arrays = list_nth(private, IU_PLAN_ARRAYS);
	scan->expressions = node->ss.ps.ps_ExprContext;
	scan->descriptor = RelationGetDescr(node->ss.ss_currentRelation);
	node->fdw_state = scan;

	MemoryContextSwitchTo(old);
	scan->key_states = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
}

void
iu_scan_again(ForeignScanState *node)
{
	IuScan	   *scan = node->fdw_state;

	if (!scan->started)
		return;
	if (scan->pool != NULL)
		iu_pool_give_back(scan->pool);
	scan->pool = NULL;
	scan->started = false;
	scan->keys = NIL;
	scan->rows = NIL;
	scan->next_row = 0;
	MemoryContextReset(scan->row_context);
	MemoryContextReset(scan->run_context);
}

void
iu_scan_end(ForeignScanState *node)
{
	IuScan	   *scan = node->fdw_state;

	if (scan == NULL)
		return;
	if (scan->pool != NULL)
		iu_pool_give_back(scan->pool);
	node->fdw_state = NULL;
	MemoryContextDelete(scan->context);
}

/* ---- EXPLAIN ---- */

static bool
keys_are_constant(List *expressions)
{
	ListCell   *cell;

	foreach(cell, expressions)
		if (!IsA(lfirst(cell), Const))
			return false;
	return true;
}

/* Names while they are few, then how many more. */
static List *
shown_keys(List *keys)
{
	List	   *shown = list_copy_head(keys, KEYS_SHOWN);

	if (keys == NIL)
		return list_make1("(none)");
	if (list_length(keys) > KEYS_SHOWN)
		shown = lappend(shown, psprintf("and %d more", list_length(keys) - KEYS_SHOWN));
	return shown;
}

/* What the plan knows, without network; with ANALYZE what it came to. */
void
iu_scan_explain(ForeignScanState *node, ExplainState *es)
{
	IuScan	   *scan = node->fdw_state;
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	const IuResource *resource = scan->table->resource;

	ExplainPropertyList("Remote Request", resource->describe(scan->keyed, scan->key_only), es);
	if (scan->keyed && keys_are_constant(plan->fdw_exprs))
		ExplainPropertyList("Remote Keys", shown_keys(evaluate_keys(scan)), es);
	else if (scan->keyed)
		ExplainPropertyList("Remote Keys", list_make1("(known at execution)"), es);
	if (!es->analyze)
		return;
	ExplainPropertyInteger("Remote Requests", NULL, scan->requests, es);
	ExplainPropertyInteger("Remote Bytes", NULL, scan->bytes, es);
}
