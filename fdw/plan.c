/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Planning of foreign scans: which restrictions name the keys to ask for.
 *
 * =, IN, = ANY and an OR of these, on the key column, decide the requests.
 * Every restriction is checked again locally, so what is asked for must only
 * be enough, never exact.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/sysattr.h"
#include "catalog/pg_operator_d.h"
#include "core/compat.h"
#include "fdw/options.h"
#include "fdw/plan.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

/* In planner units; one round trip is worth some ten thousand local rows. */
#define ROUND_TRIP_COST 100.0
#define REQUEST_COST 10.0
#define DEFAULT_COLLECTIONS 100
#define DEFAULT_ARRAY 10

/* What a clause says about the keys: any of these expressions. */
typedef struct KeySet
{
	List	   *expressions;
	List	   *arrays;			/* int list: whether that expression is an array */
	double		count;			/* estimate */
} KeySet;

typedef struct RelPlan
{
	IuTable    *table;
	KeySet	   *keys;			/* NULL: all */
	bool		key_only;
} RelPlan;

static bool
is_key_column(const RelOptInfo *rel, const IuTable *table, const Node *node)
{
	const Var  *var = (const Var *) node;

	return IsA(node, Var) && table->key_attribute != 0 &&
		var->varno == rel->relid && var->varattno == table->key_attribute && var->varlevelsup == 0;
}

/* Can be computed before the scan starts, once. */
static bool
is_known_before(PlannerInfo *root, Node *node)
{
	return bms_is_empty(pull_varnos(root, node)) &&
		!contain_volatile_functions(node) && !contain_subplans(node);
}

static double
estimate_elements(Node *node)
{
	if (IsA(node, Const) && !((Const *) node)->constisnull)
	{
		ArrayType  *array = DatumGetArrayTypeP(((Const *) node)->constvalue);

		return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	}
	if (IsA(node, ArrayExpr) && !((ArrayExpr *) node)->multidims)
		return list_length(((ArrayExpr *) node)->elements);
	return DEFAULT_ARRAY;
}

/*
 * Adds the keys of key = expression, or key = ANY (expression). A
 * nondeterministic collation calls different names equal, which the remote
 * would not.
 */
static bool
add_comparison(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table, KeySet *keys,
			   Oid operator, Oid collation, List *arguments, bool is_array)
{
	Node	   *left = linitial(arguments);
	Node	   *right = lsecond(arguments);

	if (operator != TextEqualOperator || !OidIsValid(collation) ||
		!get_collation_isdeterministic(collation))
		return false;
	if (!is_array && is_key_column(rel, table, right))
	{
		left = right;
		right = linitial(arguments);
	}
	if (!is_key_column(rel, table, left) || !is_known_before(root, right))
		return false;
	keys->expressions = lappend(keys->expressions, right);
	keys->arrays = lappend_int(keys->arrays, is_array);
	keys->count += is_array ? estimate_elements(right) : 1;
	return true;
}

static bool
add_keys(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table, Node *clause, KeySet *keys)
{
	ListCell   *cell;

	if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		OpExpr	   *op = (OpExpr *) clause;

		return add_comparison(root, rel, table, keys, op->opno, op->inputcollid, op->args, false);
	}
	if (IsA(clause, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) clause)->useOr)
	{
		ScalarArrayOpExpr *op = (ScalarArrayOpExpr *) clause;

		return add_comparison(root, rel, table, keys, op->opno, op->inputcollid, op->args, true);
	}
	if (!is_orclause(clause))
		return false;
	foreach(cell, ((BoolExpr *) clause)->args)
		if (!add_keys(root, rel, table, lfirst(cell), keys))
			return false;
	return true;
}

/* The clause that leaves the fewest keys. */
static KeySet *
find_keys(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table)
{
	KeySet	   *best = NULL;
	ListCell   *cell;

	foreach(cell, rel->baserestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		KeySet	   *keys = palloc0(sizeof(KeySet));

		if (add_keys(root, rel, table, (Node *) restriction->clause, keys) &&
			(best == NULL || keys->count < best->count))
			best = keys;
	}
	return best;
}

/* Whether the query needs no column but the key. */
static bool
uses_key_only(const RelOptInfo *rel, const IuTable *table)
{
	Bitmapset  *used = NULL;
	ListCell   *cell;
	int			attribute;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	foreach(cell, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause, rel->relid, &used);

	attribute = -1;
	while ((attribute = bms_next_member(used, attribute)) >= 0)
	{
		int			number = attribute + FirstLowInvalidHeapAttributeNumber;

		if (number >= 0 && number != table->key_attribute)
			return false;
	}
	return true;
}

void
iu_plan_size(const IuRemote *remote, PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	RelPlan    *plan = palloc0(sizeof(RelPlan));

	plan->table = iu_table_open(remote, relid);
	plan->keys = find_keys(root, rel, plan->table);
	plan->key_only = uses_key_only(rel, plan->table);
	rel->fdw_private = plan;

	if (plan->keys)
		rel->rows = clamp_row_est(plan->keys->count);
	else
		rel->rows = clamp_row_est(DEFAULT_COLLECTIONS *
								  clauselist_selectivity(root, rel->baserestrictinfo, 0, JOIN_INNER, NULL));
	rel->tuples = DEFAULT_COLLECTIONS;
}

void
iu_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	RelPlan    *plan = rel->fdw_private;
	ForeignPath *path;
	double		requests;
	double		rounds;
	Cost		cost;

	if (plan->keys)
		requests = plan->keys->count;
	else
		requests = plan->key_only ? 0 : DEFAULT_COLLECTIONS;
	rounds = ceil(requests / plan->table->connections) + (plan->keys ? 0 : 1);
	cost = rounds * ROUND_TRIP_COST + requests * REQUEST_COST;

	path = iu_create_foreignscan_path(root, rel, rel->rows, ROUND_TRIP_COST,
									  cost + rel->rows * cpu_tuple_cost,
									  rel->lateral_relids);
	add_path(rel, &path->path);
}

ForeignScan *
iu_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
			 List *tlist, List *clauses, Plan *outer_plan)
{
	RelPlan    *plan = rel->fdw_private;
	KeySet	   *keys = plan->keys;
	List	   *private;

	private = list_make4(makeString(pstrdup(plan->table->remote->name)),
						 list_make1_oid(rel->userid),
						 list_make2_int(keys != NULL, plan->key_only),
						 keys ? keys->arrays : NIL);
	return make_foreignscan(tlist, extract_actual_clauses(clauses, false), rel->relid,
							keys ? keys->expressions : NIL, private, NIL, NIL, outer_plan);
}
