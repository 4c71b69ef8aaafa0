/*-------------------------------------------------------------------------
 *
 * upper.c
 *	  count(*) as one request.
 *
 * The remote counts only where its count is exact: every condition is an
 * equality on the collection or the remote's own filter, one of each at most,
 * so that nothing is left to be checked here, and the only GROUP BY is by the
 * collection. Any other count(*) counts the rows of a scan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "core/compat.h"
#include "fdw/relation.h"
#include "fdw/rows.h"
#include "fdw/upper.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/tlist.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* Whether the node is the column "collection" of this very relation. */
static bool
is_collection(const RelOptInfo *rel, const IuTable *table, const Node *node)
{
	const Var  *var = (const Var *) node;

	return IsA(node, Var) && var->varno == rel->relid && var->varlevelsup == 0 &&
		table->key_attributes[IU_KEY_COLLECTION] != 0 &&
		var->varattno == table->key_attributes[IU_KEY_COLLECTION];
}

/* Whether an aggregate counts a constant that is not NULL, as count(1) does: as many as there are rows. */
static bool
counts_a_constant(const Aggref *aggregate)
{
	const Const *argument;

	if (aggregate->aggfnoid != F_COUNT_ANY || aggregate->aggdistinct != NIL || list_length(aggregate->args) != 1)
		return false;
	argument = (const Const *) linitial_node(TargetEntry, aggregate->args)->expr;
	return IsA(argument, Const) && !argument->constisnull;
}

/* Whether the node is count(*), or count(1), and nothing more. */
static bool
is_count_of_rows(const Node *node)
{
	const Aggref *aggregate = (const Aggref *) node;

	return IsA(node, Aggref) && (aggregate->aggfnoid == F_COUNT_ || counts_a_constant(aggregate)) &&
		aggregate->aggfilter == NULL && aggregate->agglevelsup == 0 &&
		aggregate->aggsplit == AGGSPLIT_SIMPLE;
}

/* Whether the conditions are what would be asked, and no more. */
static bool
conditions_are_exact(const RelOptInfo *rel, const IuRelation *relation)
{
	int			exact = (relation->restriction.keys[IU_KEY_COLLECTION] != NIL) +
		(relation->restriction.keys[IU_KEY_FILTER] != NIL);

	return relation->restriction.clauses == exact && list_length(rel->baserestrictinfo) == exact;
}

/* Whether there is no GROUP BY but by the collection, and no HAVING. */
static bool
groups_are_collections(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table)
{
	ListCell   *cell;

	if (root->parse->groupingSets != NIL || root->hasHavingQual)
		return false;
	foreach(cell, root->parse->groupClause)
	{
		Node	   *expression = get_sortgroupclause_expr(lfirst(cell), root->parse->targetList);

		/* a nondeterministic collation would group different names */
		if (!is_collection(rel, table, expression) ||
			!get_collation_isdeterministic(exprCollation(expression)))
			return false;
	}
	return true;
}

/*
 * Fills in what the remote gives of the target: each count(*), and the
 * collection. False if the target has more in it, or no count(*).
 */
static bool
find_output(const RelOptInfo *rel, const IuTable *table, const PathTarget *target, IuAsk *ask)
{
	List	   *parts = pull_var_clause((Node *) target->exprs,
										PVC_INCLUDE_AGGREGATES | PVC_RECURSE_PLACEHOLDERS);
	bool		counts = false;
	ListCell   *cell;

	foreach(cell, parts)
	{
		Node	   *part = lfirst(cell);

		if (tlist_member((Expr *) part, ask->columns))
			continue;
		if (is_count_of_rows(part))
			ask->output = lappend_int(ask->output, IU_OUTPUT_COUNT);
		else if (is_collection(rel, table, part))
			ask->output = lappend_int(ask->output, IU_OUTPUT_COLLECTION);
		else
			return false;
		counts |= IsA(part, Aggref);
		ask->columns = add_to_flat_tlist(ask->columns, list_make1(part));
	}
	return counts;
}

/* Whether the remote's count is what the query asks for. */
static bool
can_be_counted(PlannerInfo *root, const RelOptInfo *input, const IuRelation *relation)
{
	const IuResource *resource = relation->table->resource;
	IuQuery		query = {.table = relation->table};

	return resource->can_count && (resource->counts_rows == NULL || resource->counts_rows(&query)) &&
		conditions_are_exact(input, relation) && groups_are_collections(root, input, relation->table);
}

/*
 * GetForeignUpperPaths: adds the way that asks the remote for counts, where
 * they are exact.
 */
void
iu_upper_add(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input, RelOptInfo *output,
			  void *extra)
{
	const IuRelation *relation = input->fdw_private;
	IuAsk	   *ask;
	ForeignPath *path;
	double		rows;
	double		startup;
	double		total;

	if (stage != UPPERREL_GROUP_AGG || relation == NULL || input->reloptkind != RELOPT_BASEREL ||
		output->fdw_private != NULL)
		return;
	if (!can_be_counted(root, input, relation))
		return;

	ask = palloc0(sizeof(IuAsk));
	ask->relation = relation;
	ask->restriction = relation->restriction;
	ask->user = input->userid;
	ask->limit = -1;
	ask->grouped = root->parse->groupClause != NIL;
	if (!find_output(input, relation->table, root->upper_targets[UPPERREL_GROUP_AGG], ask))
		return;

	rows = ask->grouped ? iu_relation_collections(relation->table, &ask->restriction) : 1;
	iu_relation_cost(ask, rows, &startup, &total);
	output->fdw_private = ask;
	path = iu_create_foreign_upper_path(root, output, root->upper_targets[UPPERREL_GROUP_AGG],
										rows, startup, total, list_make1(ask));
	add_path(output, &path->path);
}
