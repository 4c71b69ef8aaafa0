/*-------------------------------------------------------------------------
 *
 * node.c
 *	  Foreign scans as the executor calls them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "executor/execAsync.h"
#include "executor/executor.h"
#include "fdw/keys.h"
#include "fdw/node.h"
#include "fdw/plan.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/rel.h"

void
iu_node_begin(ForeignScanState *state, int flags)
{
	ForeignScan *scan = (ForeignScan *) state->ss.ps.plan;
	MemoryContext context = state->ss.ps.state->es_query_cxt;
	IuNode	   *node = palloc0(sizeof(IuNode));
	IuPlan		plan;
	IuQuery		query;
	IuTable    *table;

	iu_plan_unpack(&plan, scan->fdw_private);
	table = iu_table_open(plan.remote, plan.relid);
	iu_plan_query(&plan, table, &query);
	node->scan = iu_scan_open(context, table, OidIsValid(plan.user) ? plan.user : GetUserId(), &query,
							  plan.limit, state->ss.ss_ScanTupleSlot->tts_tupleDescriptor, plan.attributes);
	if (plan.output != NIL)
		iu_rows_for_counts(&node->scan->rows, node->scan->run_context, plan.output, plan.grouped);
	node->roles = plan.roles;
	node->arrays = plan.arrays;
	node->expressions = state->ss.ps.ps_ExprContext;
	node->states = ExecInitExprList(scan->fdw_exprs, (PlanState *) state);
	state->fdw_state = node;
}

static void
start(IuNode *node)
{
	MemoryContext old = MemoryContextSwitchTo(node->scan->run_context);
	List	   *keys[IU_ROLES];
	int			role;

	for (role = 0; role < IU_ROLES; role++)
		keys[role] = iu_keys_evaluate(role, node->states, node->roles, node->arrays, node->expressions);
	iu_scan_start(node->scan, keys);
	MemoryContextSwitchTo(old);
}

TupleTableSlot *
iu_node_next(ForeignScanState *state)
{
	IuNode	   *node = state->fdw_state;
	TupleTableSlot *slot = state->ss.ss_ScanTupleSlot;
	HeapTuple	row;

	if (!node->scan->started)
		start(node);
	row = iu_scan_next(node->scan, !state->ss.ps.async_capable, &node->unfinished);
	return row ? ExecStoreHeapTuple(row, slot, false) : ExecClearTuple(slot);
}

/* ---- asynchronously, below an Append ---- */

/* Connections are a scan's own, so nothing that runs beside it is in its way. */
bool
iu_node_is_async(ForeignPath *path)
{
	return true;
}

/* The next row, "not yet", or the end. */
static void
produce(AsyncRequest *request)
{
	ForeignScanState *state = (ForeignScanState *) request->requestee;
	const IuNode *node = state->fdw_state;
	TupleTableSlot *slot = request->requestee->ExecProcNodeReal(request->requestee);

	if (TupIsNull(slot) && node->unfinished)
		ExecAsyncRequestPending(request);
	else
		ExecAsyncRequestDone(request, TupIsNull(slot) ? NULL : slot);
}

/* One of ours that holds connections. */
static bool
is_under_way(const AsyncRequest *request)
{
	const ForeignScanState *state = (const ForeignScanState *) request->requestee;

	return IsA(state, ForeignScanState) && state->fdwroutine->IterateForeignScan == iu_node_next &&
		((const IuNode *) state->fdw_state)->scan->line.pool != NULL;
}

/*
 * Descriptors are few, and an Append may have hundreds of members: then some
 * wait until others have ended, as they would without being asynchronous.
 */
static bool
must_wait(const AsyncRequest *request)
{
	const AppendState *append = (const AppendState *) request->requestor;
	int			i = -1;

	if (iu_pool_has_room())
		return false;
	while ((i = bms_next_member(append->as_asyncplans, i)) >= 0)
		if (append->as_asyncrequests[i] != request && is_under_way(append->as_asyncrequests[i]))
			return true;
	return false;
}

void
iu_node_request(AsyncRequest *request)
{
	const IuNode *node = ((ForeignScanState *) request->requestee)->fdw_state;

	if (!node->scan->started && must_wait(request))
		ExecAsyncRequestPending(request);
	else
		produce(request);

	/* what it needs to be waited for counts, too, before the next one looks for room */
	if (node->scan->line.pool != NULL)
		iu_line_descriptor(&node->scan->line);
}

/* Of one that waited: its first requests, in the Append's next look around. */
static void
start_late(AsyncRequest *request)
{
	request->callback_pending = false;
	produce(request);
	ExecAsyncResponse(request);
	if (request->request_complete && request->requestee->instrument)
		InstrUpdateTupleCount(request->requestee->instrument, TupIsNull(request->result) ? 0.0 : 1.0);
}

void
iu_node_configure(AsyncRequest *request)
{
	ForeignScanState *state = (ForeignScanState *) request->requestee;
	AppendState *append = (AppendState *) request->requestor;
	IuNode	   *node = state->fdw_state;

	if (!node->scan->started)
	{
		if (must_wait(request))
			return;
		start_late(request);
		if (request->request_complete)
			return;
	}
	AddWaitEventToSet(append->as_eventset, WL_SOCKET_READABLE, iu_line_descriptor(&node->scan->line),
					  NULL, request);
}

void
iu_node_notify(AsyncRequest *request)
{
	CHECK_FOR_INTERRUPTS();
	produce(request);
}

/* ---- again, and the end ---- */

void
iu_node_again(ForeignScanState *state)
{
	IuNode	   *node = state->fdw_state;

	if (node->scan->started)
		iu_scan_reset(node->scan);
}

void
iu_node_end(ForeignScanState *state)
{
	IuNode	   *node = state->fdw_state;

	if (node == NULL)
		return;
	state->fdw_state = NULL;
	iu_scan_close(node->scan);
}
