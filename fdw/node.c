/*-------------------------------------------------------------------------
 *
 * node.c
 *	  Foreign scans as the executor calls them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "core/compat.h"
#include "executor/execAsync.h"
#include "executor/executor.h"
#include "fdw/node.h"
#include "fdw/plan.h"
#include "fdw/scan.h"
#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/rel.h"

/*
 * BeginForeignScan: gets the scan ready from what the plan holds. Asks for
 * nothing, and looks into no catalog.
 *
 * remote: the one of the table's wrapper; flags: EXEC_FLAG_... of the executor.
 */
void
iu_node_begin(const IuRemote *remote, ForeignScanState *state, int flags)
{
	ForeignScan *scan = (ForeignScan *) state->ss.ps.plan;
	IuNode	   *node = palloc0(sizeof(IuNode));
	IuPlan		plan;
	IuQuery		query;

	iu_plan_unpack(&plan, remote, scan->fdw_private);
	iu_plan_query(&plan, &query);
	query.runs_once = (flags & EXEC_FLAG_REWIND) == 0 && bms_is_empty(scan->scan.plan.allParam);
	node->scan = iu_scan_open(state->ss.ps.state->es_query_cxt,
							  OidIsValid(plan.user) ? plan.user : GetUserId(), &query,
							  plan.limit, state->ss.ss_ScanTupleSlot->tts_tupleDescriptor, plan.attributes);
	if (plan.output != NIL)
		iu_rows_for_counts(&node->scan->rows, node->scan->run_context, plan.output, plan.grouped);
	node->keys = plan.keys;
	node->decided = plan.decided;
	node->expressions = state->ss.ps.ps_ExprContext;
	node->states = ExecInitExprList(scan->fdw_exprs, (PlanState *) state);
	state->fdw_state = node;
}

/* Computes the keys and starts a run of the scan. */
static void
start_scan(IuNode *node)
{
	MemoryContext old = MemoryContextSwitchTo(node->scan->run_context);
	List	   *keys[IU_ROLES];
	int			role;

	for (role = 0; role < IU_ROLES; role++)
		keys[role] = iu_keys_evaluate(role, &node->keys, node->states, node->expressions);
	iu_scan_start(node->scan, keys);
	MemoryContextSwitchTo(old);
}

/* Whether the row has keys that were asked for, of the roles whose clauses the executor does not check. */
static bool
is_asked_for(const IuNode *node, HeapTuple row, TupleDesc descriptor)
{
	int			role;

	for (role = 0; role < IU_ROLES; role++)
	{
		bool		null;
		Datum		value;

		if ((node->decided & (1 << role)) == 0)
			continue;
		value = heap_getattr(row, node->scan->table->key_attributes[role], descriptor, &null);
		if (null || !iu_keys_hold(node->scan->keys[role], TextDatumGetCString(value)))
			return false;
	}
	return true;
}

/* IterateForeignScan: the next row. Where it must not wait, no row may also mean "not yet". */
TupleTableSlot *
iu_node_next(ForeignScanState *state)
{
	IuNode	   *node = state->fdw_state;
	TupleTableSlot *slot = state->ss.ss_ScanTupleSlot;
	HeapTuple	row;

	if (!node->scan->started)
		start_scan(node);
	do
	{
		CHECK_FOR_INTERRUPTS();
		row = iu_scan_next(node->scan, !state->ss.ps.async_capable, &node->unfinished);
	} while (row != NULL && !is_asked_for(node, row, slot->tts_tupleDescriptor));
	return row ? ExecStoreHeapTuple(row, slot, false) : ExecClearTuple(slot);
}

/* ---- asynchronously, below an Append ---- */

/*
 * IsForeignPathAsyncCapable: yes, as scans that run at the same time share no
 * connection. Not in single-user mode, where an Append fails when it waits: it
 * watches for the death of a postmaster that does not exist.
 */
bool
iu_node_is_async(ForeignPath *path)
{
	return IsUnderPostmaster;
}

/* Answers an Append's request by the next row, by "not yet", or by the end. */
static void
answer_request(AsyncRequest *request)
{
	ForeignScanState *state = (ForeignScanState *) request->requestee;
	const IuNode *node = state->fdw_state;
	TupleTableSlot *slot = request->requestee->ExecProcNodeReal(request->requestee);

	if (TupIsNull(slot) && node->unfinished)
		ExecAsyncRequestPending(request);
	else
		ExecAsyncRequestDone(request, TupIsNull(slot) ? NULL : slot);
}

/* Whether the request is to a scan of these wrappers that has connections. */
static bool
has_connections(const AsyncRequest *request)
{
	const ForeignScanState *state = (const ForeignScanState *) request->requestee;

	return IsA(state, ForeignScanState) && state->fdwroutine->IterateForeignScan == iu_node_next &&
		((const IuNode *) state->fdw_state)->scan->session.pool != NULL;
}

/*
 * Whether a scan must not start before others of its Append have ended, as an
 * Append may have hundreds of members and descriptors are few.
 */
static bool
must_wait(const AsyncRequest *request)
{
	const AppendState *append = (const AppendState *) request->requestor;
	int			i = -1;

	if (iu_pool_has_room())
		return false;
	while ((i = bms_next_member(append->as_asyncplans, i)) >= 0)
		if (append->as_asyncrequests[i] != request && has_connections(append->as_asyncrequests[i]))
			return true;
	return false;
}

/* ForeignAsyncRequest: an Append asks for the next row. */
void
iu_node_request(AsyncRequest *request)
{
	const IuNode *node = ((ForeignScanState *) request->requestee)->fdw_state;

	if (!node->scan->started && must_wait(request))
		ExecAsyncRequestPending(request);
	else
		answer_request(request);

	/* takes the descriptors that waiting for it needs now, before the next scan looks for room */
	if (node->scan->session.pool != NULL)
		iu_session_descriptor(&node->scan->session);
}

/* Starts a scan that had to wait, when the Append gets ready to wait. */
static void
start_late(AsyncRequest *request)
{
	request->callback_pending = false;
	answer_request(request);
	ExecAsyncResponse(request);
	if (request->request_complete && request->requestee->instrument)
		InstrUpdateTupleCount(request->requestee->instrument, TupIsNull(request->result) ? 0.0 : 1.0);
}

/*
 * ForeignAsyncConfigureWait: an Append is going to wait for a row. Adds the
 * descriptor that becomes readable when it is worth while to ask again.
 */
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
	AddWaitEventToSet(append->as_eventset, WL_SOCKET_READABLE, iu_session_descriptor(&node->scan->session),
					  NULL, request);
}

/* ForeignAsyncNotify: the descriptor is readable. */
void
iu_node_notify(AsyncRequest *request)
{
	CHECK_FOR_INTERRUPTS();
	answer_request(request);
}

/* ---- again, and the end ---- */

/* ReScanForeignScan: the next row is the first one again, perhaps of other keys. */
void
iu_node_again(ForeignScanState *state)
{
	IuNode	   *node = state->fdw_state;

	if (node->scan->started)
		iu_scan_reset(node->scan);
}

/* EndForeignScan: frees the scan. */
void
iu_node_end(ForeignScanState *state)
{
	IuNode	   *node = state->fdw_state;

	if (node == NULL)
		return;
	state->fdw_state = NULL;
	iu_scan_close(node->scan);
}
