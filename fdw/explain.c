/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What EXPLAIN shows of a foreign scan: what the plan knows, without asking
 *	  the remote; with ANALYZE also what was asked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/explain.h"
#include "fdw/keys.h"
#include "fdw/node.h"
#include "utils/lsyscache.h"

#define KEYS_SHOWN 10

static const char *const role_labels[IU_ROLES] = {"Remote Keys", "Remote Ids", "Remote Filter", "Remote Shards"};

/* Whether the keys of this role are constants, which are known without running the plan. */
static bool
keys_are_constant(const ForeignScan *plan, const IuNode *node, IuRole role)
{
	ListCell   *expression;
	ListCell   *its_role;

	forboth(expression, plan->fdw_exprs, its_role, node->keys.roles)
		if (lfirst_int(its_role) == (int) role && !IsA(lfirst(expression), Const))
			return false;
	return true;
}

/* The first keys, and how many more there are. */
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

/* Shows the keys of this role, if it is restricted. */
static void
explain_keys(const ForeignScan *plan, const IuNode *node, IuRole role, ExplainState *es)
{
	const IuScan *scan = node->scan;
	List	   *shown = list_make1("(known at execution)");
	bool		only = role == IU_KEY_COLLECTION && !scan->keyed_collection;

	if (!scan->query.restricted[role])
		return;
	if (only)
		shown = list_make1(unconstify(char *, scan->table->collection));
	else if (keys_are_constant(plan, node, role))
		shown = shown_keys(iu_keys_evaluate(role, &node->keys, node->states, node->expressions));
	ExplainPropertyList(role_labels[role], shown, es);
}

/* ExplainForeignScan: adds the properties of the scan. */
void
iu_explain_scan(ForeignScanState *state, ExplainState *es)
{
	const ForeignScan *plan = (const ForeignScan *) state->ss.ps.plan;
	const IuNode *node = state->fdw_state;
	const IuScan *scan = node->scan;
	int			role;

	if (scan->query.counts)
		ExplainPropertyText("Relations", psprintf("Aggregate on (%s)", scan->table->name), es);
	ExplainPropertyList("Remote Request", scan->table->resource->describe(&scan->query), es);
	for (role = 0; role < IU_ROLES; role++)
		explain_keys(plan, node, role, es);
	if (!es->analyze)
		return;
	ExplainPropertyInteger("Remote Requests", NULL, scan->session.requests, es);
	ExplainPropertyInteger("Remote Bytes", NULL, scan->session.bytes, es);
	if (!es->verbose)
		return;
	ExplainPropertyInteger("Remote Retries", NULL, scan->retries, es);
	if (es->timing)
		ExplainPropertyFloat("Remote Time", "ms", scan->session.waited_us / 1000.0, 3, es);
}
