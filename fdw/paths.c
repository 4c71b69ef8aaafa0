/*-------------------------------------------------------------------------
 *
 * paths.c
 *	  The ways to read a foreign table, and what they cost.
 *
 * There is one way by the table's own clauses. Where joins compare a key with
 * another relation's column there are more, by that relation's row: good for a
 * few rows, as each is a round trip of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "core/compat.h"
#include "fdw/plan.h"
#include "fdw/relation.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"

/* In planner units; one round trip is worth some ten thousand local rows. */
#define ROUND_TRIP_COST 100.0
#define REQUEST_COST 10.0
#define ROW_COST 0.05
#define IDS_AT_ONCE 1000

/* More than whatever a setting like enable_nestloop = off adds. */
#define NEVER 1.0e12
#define NEVER_DISABLED 1000

void
iu_relation_cost(const IuAsk *ask, double rows, double *startup, double *total)
{
	const IuTable *table = ask->relation->table;
	const IuRestriction *restriction = &ask->restriction;
	bool		listed = table->collection == NULL && restriction->keys[IU_KEY_COLLECTION] == NULL;
	double		collections = iu_relation_collections(table, restriction);
	double		transfer = iu_relation_transfer(ask->relation, restriction);
	double		page = ask->page_size > 0 ? ask->page_size : table->page_size;
	double		each;			/* requests per collection, one after the other */
	double		at_once;

	if (restriction->keys[IU_KEY_ID])
		page = IDS_AT_ONCE;
	each = ask->output || !table->resource->has_fields ? 1 : ceil(transfer / collections / page);
	if (!table->resource->has_fields && listed && list_length(ask->relation->attributes) <= 1)
		each = 0;
	at_once = ceil(collections / table->server->connections);

	*startup = ROUND_TRIP_COST;
	*total = ((listed ? 1 : 0) + each * at_once) * ROUND_TRIP_COST + each * collections * REQUEST_COST +
		(ask->output ? 0 : transfer * ROW_COST) + rows * cpu_tuple_cost;
	*total = Max(*total, *startup);
}

/* ---- LIMIT ---- */

/*
 * Rows that the whole query needs of this relation. With conditions that are
 * checked here more may be asked for than that, but not before it is known to
 * be necessary; without, pages need be no larger.
 */
static void
apply_limit(const PlannerInfo *root, const RelOptInfo *rel, IuAsk *ask)
{
	ask->limit = -1;
	if (root->limit_tuples < 1 || root->limit_tuples > PG_INT32_MAX ||
		root->parse->sortClause != NIL || root->parse->rowMarks != NIL ||
		rel->reloptkind != RELOPT_BASEREL || bms_membership(root->all_baserels) != BMS_SINGLETON)
		return;
	ask->limit = root->limit_tuples;
	if (ask->restriction.clauses == list_length(rel->baserestrictinfo))
		ask->page_size = (int) ask->limit;
}

/* ---- by other relations' rows ---- */

typedef struct KeyMatch
{
	PlannerInfo *root;
	const IuTable *table;
	IuRole		role;
} KeyMatch;

static bool
is_key_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *class,
			  EquivalenceMember *member, void *arg)
{
	const KeyMatch *match = arg;
	const Var  *var = (const Var *) member->em_expr;

	return IsA(var, Var) && var->varno == rel->relid && match->table->key_attributes[match->role] != 0 &&
		var->varattno == match->table->key_attributes[match->role];
}

static List *
keys_given_by(PlannerInfo *root, RelOptInfo *rel, const IuTable *table, IuRole role, List *clauses,
			  List *found)
{
	ListCell   *cell;

	foreach(cell, clauses)
	{
		RestrictInfo *restriction = lfirst(cell);

		if (join_clause_is_movable_to(restriction, rel) &&
			iu_keys_of_clause(root, rel, table, role, (Node *) restriction->clause))
			found = lappend(found, restriction);
	}
	return found;
}

/* Join clauses that give a key of this role: RestrictInfos. */
static List *
join_clauses(PlannerInfo *root, RelOptInfo *rel, const IuTable *table, IuRole role)
{
	KeyMatch	match = {root, table, role};
	List	   *equalities;
	List	   *found;

	if (table->key_attributes[role] == 0)
		return NIL;
	found = keys_given_by(root, rel, table, role, rel->joininfo, NIL);
	if (!rel->has_eclass_joins)
		return found;
	equalities = generate_implied_equalities_for_column(root, rel, is_key_member, &match, rel->lateral_referencers);
	return keys_given_by(root, rel, table, role, equalities, found);
}

static void
add_scan_path(PlannerInfo *root, RelOptInfo *rel, Relids outer, bool never)
{
	const IuRelation *relation = rel->fdw_private;
	IuAsk	   *ask = palloc0(sizeof(IuAsk));
	double		rows = rel->rows;
	double		startup;
	double		total;
	ForeignPath *path;

	ask->relation = relation;
	ask->user = rel->userid;
	ask->restriction = relation->restriction;
	ask->limit = -1;
	if (bms_is_empty(outer))
		apply_limit(root, rel, ask);
	else
	{
		ParamPathInfo *parameters = get_baserel_parampathinfo(root, rel, outer);

		iu_relation_restrict(root, rel, relation->table, parameters->ppi_clauses, &ask->restriction);
		rows = Min(parameters->ppi_rows, iu_relation_transfer(relation, &ask->restriction));
	}
	iu_relation_cost(ask, rows, &startup, &total);
	if (never)
		total += NEVER;
	ask->never = never;
	path = iu_create_foreignscan_path(root, rel, clamp_row_est(rows), never ? NEVER_DISABLED : 0, startup,
									  total, outer, list_make1(ask));
	add_path(rel, &path->path);
}

static List *
add_set(List *sets, Relids set)
{
	ListCell   *cell;

	foreach(cell, sets)
		if (bms_equal(lfirst(cell), set))
			return sets;
	return lappend(sets, set);
}

/*
 * Each set of relations that gives a key, and all of them together. A filter
 * that only a join knows must come from there: without it no row would match.
 */
static List *
outer_relations(PlannerInfo *root, RelOptInfo *rel, const IuTable *table, bool *filtered)
{
	Relids		together = NULL;
	List	   *sets = NIL;
	ListCell   *cell;
	int			role;

	for (role = 0; role < IU_ROLES; role++)
	{
		List	   *clauses = join_clauses(root, rel, table, role);

		foreach(cell, clauses)
		{
			RestrictInfo *restriction = lfirst(cell);
			Relids		outer = bms_union(restriction->clause_relids, rel->lateral_relids);

			outer = bms_del_member(outer, rel->relid);
			if (bms_is_empty(outer))
				continue;
			if (role == IU_KEY_FILTER)
				*filtered = true;
			sets = add_set(sets, outer);
			together = bms_union(together, outer);
		}
	}
	return together ? add_set(sets, together) : sets;
}

void
iu_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	const IuRelation *relation = rel->fdw_private;
	bool		filtered = false;
	List	   *sets = outer_relations(root, rel, relation->table, &filtered);
	ListCell   *cell;

	add_scan_path(root, rel, rel->lateral_relids, filtered);
	foreach(cell, sets)
		add_scan_path(root, rel, lfirst(cell), false);
}
