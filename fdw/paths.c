/*-------------------------------------------------------------------------
 *
 * paths.c
 *	  The ways to read a foreign table.
 *
 * One way reads by the table's own clauses. Where a join compares a key with
 * another relation's column there are more: one reads anew for each row of that
 * relation, which is good for a few rows, as each is a round trip of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/paths.h"
#include "fdw/relation.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"

/* Costs of a way that is an error if it is taken: more than a setting such as enable_nestloop = off adds. */
#define NEVER 1.0e12
#define NEVER_DISABLED 1000

/* ---- LIMIT ---- */

/*
 * Sets how many rows the whole query needs of this relation, where LIMIT says
 * it. If no condition is checked here after the rows have come, a page need
 * not be larger than that.
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
	/* a shard key says nothing to a collection that has none */
	if (ask->restriction.clauses == list_length(rel->baserestrictinfo) && ask->restriction.keys[IU_KEY_SHARD] == NIL)
		ask->page_size = (int) ask->limit;
}

/* ---- by other relations' rows ---- */

/* What is_key_member looks for: the column of this role. */
typedef struct KeyMatch
{
	PlannerInfo *root;
	const IuTable *table;
	IuRole		role;
} KeyMatch;

/* Whether a member of an equivalence class is that column; see generate_implied_equalities_for_column. */
static bool
is_key_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *class,
			  EquivalenceMember *member, void *arg)
{
	const KeyMatch *match = arg;
	const Var  *var = (const Var *) member->em_expr;

	return IsA(var, Var) && var->varno == rel->relid && match->table->key_attributes[match->role] != 0 &&
		var->varattno == match->table->key_attributes[match->role];
}

/* Adds to found those of the join clauses that give keys of this role. */
static List *
add_clauses_with_keys(PlannerInfo *root, RelOptInfo *rel, const IuTable *table, IuRole role, List *clauses,
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

/* The join clauses that give keys of this role: RestrictInfos. */
static List *
join_clauses(PlannerInfo *root, RelOptInfo *rel, const IuTable *table, IuRole role)
{
	KeyMatch	match = {root, table, role};
	List	   *equalities;
	List	   *found;

	if (table->key_attributes[role] == 0)
		return NIL;
	found = add_clauses_with_keys(root, rel, table, role, rel->joininfo, NIL);
	if (!rel->has_eclass_joins)
		return found;
	equalities = generate_implied_equalities_for_column(root, rel, is_key_member, &match, rel->lateral_referencers);
	return add_clauses_with_keys(root, rel, table, role, equalities, found);
}

/*
 * Adds the way that reads anew for each row of other relations.
 *
 * outer: those relations; none: reads once.
 */
static void
add_scan_path(PlannerInfo *root, RelOptInfo *rel, Relids outer)
{
	const IuRelation *relation = rel->fdw_private;
	IuAsk	   *ask = palloc0(sizeof(IuAsk));
	double		rows = rel->rows;
	double		startup;
	double		total;
	bool		never;
	int			role;
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

		for (role = 0; role < IU_ROLES; role++)
			ask->restriction.keys[role] = list_copy(relation->restriction.keys[role]);
		(void) iu_relation_restrict(root, rel, relation->table, parameters->ppi_clauses, &ask->restriction);
		rows = Min(parameters->ppi_rows, iu_relation_transfer(relation, &ask->restriction));
	}
	iu_relation_cost(ask, rows, &startup, &total);
	never = relation->filter_decides && ask->restriction.keys[IU_KEY_FILTER] == NIL;
	if (never)
		total += NEVER;
	ask->never = never;
	path = iu_create_foreignscan_path(root, rel, clamp_row_est(rows), never ? NEVER_DISABLED : 0, startup,
									  total, outer, list_make1(ask));
	add_path(rel, &path->path);
}

/* Adds a set of relations to the list unless it is there. */
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
 * The sets of other relations that give keys by joins: each of them, and all
 * of them together.
 */
static List *
outer_relations(PlannerInfo *root, RelOptInfo *rel, const IuTable *table)
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
			sets = add_set(sets, outer);
			together = bms_union(together, outer);
		}
	}
	return together ? add_set(sets, together) : sets;
}

/* GetForeignPaths: adds every way to read the table. */
void
iu_paths_add(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	const IuRelation *relation = rel->fdw_private;
	List	   *sets = outer_relations(root, rel, relation->table);
	ListCell   *cell;

	add_scan_path(root, rel, rel->lateral_relids);
	foreach(cell, sets)
		add_scan_path(root, rel, lfirst(cell));
}
