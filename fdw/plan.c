/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Planning of foreign scans: what is asked, and how much comes back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "core/compat.h"
#include "fdw/plan.h"
#include "fdw/relation.h"
#include "fdw/rows.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"

#define DEFAULT_COLLECTIONS 100
#define DEFAULT_ROWS 1000		/* of one collection */
#define FILTER_LEAVES 0.1

/* ---- fdw_private ---- */

enum
{
	PLAN_REMOTE,				/* String: name of the IuRemote */
	PLAN_OIDS,					/* oid list: user, relid */
	PLAN_LIMIT,					/* Float */
	PLAN_NUMBERS,				/* int list: page size, grouped */
	PLAN_ROLES,
	PLAN_ARRAYS,
	PLAN_ATTRIBUTES,
	PLAN_OUTPUT
};

List *
iu_plan_pack(const IuPlan *plan)
{
	List	   *private = list_make5(makeString(pstrdup(plan->remote->name)),
									list_make2_oid(plan->user, plan->relid),
									makeFloat(psprintf("%.0f", plan->limit)),
									list_make2_int(plan->page_size, plan->grouped),
									plan->roles);

	private = lappend(private, plan->arrays);
	private = lappend(private, plan->attributes);
	return lappend(private, plan->output);
}

void
iu_plan_unpack(IuPlan *plan, List *private)
{
	List	   *oids = list_nth(private, PLAN_OIDS);
	List	   *numbers = list_nth(private, PLAN_NUMBERS);

	plan->remote = iu_remote_by_name(strVal(list_nth(private, PLAN_REMOTE)));
	plan->user = linitial_oid(oids);
	plan->relid = lsecond_oid(oids);
	plan->limit = floatVal(list_nth(private, PLAN_LIMIT));
	plan->page_size = linitial_int(numbers);
	plan->grouped = lsecond_int(numbers);
	plan->roles = list_nth(private, PLAN_ROLES);
	plan->arrays = list_nth(private, PLAN_ARRAYS);
	plan->attributes = list_nth(private, PLAN_ATTRIBUTES);
	plan->output = list_nth(private, PLAN_OUTPUT);
}

static bool
is_listed(const List *names, const char *name)
{
	ListCell   *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

void
iu_plan_query(const IuPlan *plan, const IuTable *table, IuQuery *query)
{
	ListCell   *cell;

	memset(query, 0, sizeof(IuQuery));
	query->table = table;
	query->page_size = plan->page_size > 0 ? Min(plan->page_size, table->page_size) : table->page_size;
	query->counts = plan->output != NIL;
	foreach(cell, plan->roles)
		query->restricted[lfirst_int(cell)] = true;
	foreach(cell, plan->attributes)
	{
		int			i = lfirst_int(cell) - 1;

		if (table->column_of[i] >= 0)
			query->wants = bms_add_member(query->wants, table->column_of[i]);
		else if (table->column_of[i] == IU_FIELD_COLUMN && !is_listed(query->fields, table->field_of[i]))
			query->fields = lappend(query->fields, unconstify(char *, table->field_of[i]));
	}
}

/* ---- restrictions ---- */

/* Of each role the clause that leaves the fewest keys. */
void
iu_relation_restrict(PlannerInfo *root, RelOptInfo *rel, const IuTable *table, List *clauses,
					 IuRestriction *restriction)
{
	ListCell   *cell;

	foreach(cell, clauses)
	{
		Node	   *clause = (Node *) lfirst_node(RestrictInfo, cell)->clause;
		int			role;

		for (role = 0; role < IU_ROLES; role++)
		{
			IuKeySet   *keys = iu_keys_of_clause(root, rel, table, role, clause);

			if (keys == NULL)
				continue;
			restriction->clauses++;
			if (role == IU_KEY_COLLECTION)
				restriction->selectivity *= clauselist_selectivity(root, list_make1(lfirst(cell)), rel->relid,
																   JOIN_INNER, NULL);
			if (restriction->keys[role] == NULL || keys->count < restriction->keys[role]->count)
				restriction->keys[role] = keys;
			break;
		}
	}
}

/* Attribute numbers that the query looks at; all of them for a whole row. */
static List *
wanted_attributes(const RelOptInfo *rel, const IuTable *table)
{
	Bitmapset  *used = NULL;
	List	   *attributes = NIL;
	ListCell   *cell;
	bool		all;
	int			i;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	foreach(cell, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause, rel->relid, &used);

	all = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	for (i = 1; i <= table->attribute_count; i++)
		if (table->column_of[i - 1] != IU_NO_COLUMN &&
			(all || bms_is_member(i - FirstLowInvalidHeapAttributeNumber, used)))
			attributes = lappend_int(attributes, i);
	return attributes;
}

/* ---- estimates ---- */

double
iu_relation_collections(const IuTable *table, const IuRestriction *restriction)
{
	if (table->collection != NULL)
		return 1;
	if (restriction->keys[IU_KEY_COLLECTION] != NULL)
		return Max(restriction->keys[IU_KEY_COLLECTION]->count, 1);
	return DEFAULT_COLLECTIONS;
}

/* Rows that come over the wire, before conditions are checked here. */
double
iu_relation_transfer(const IuRelation *relation, const IuRestriction *restriction)
{
	double		collections = iu_relation_collections(relation->table, restriction);
	double		rows;

	if (!relation->table->resource->has_fields && restriction->keys[IU_KEY_COLLECTION])
		rows = collections;
	else if (relation->tuples >= 0)
		rows = relation->tuples * restriction->selectivity;
	else
		rows = relation->table->resource->has_fields ? collections * DEFAULT_ROWS : collections;
	if (restriction->keys[IU_KEY_FILTER])
		rows *= FILTER_LEAVES;
	if (restriction->keys[IU_KEY_ID])
		rows = Min(rows, restriction->keys[IU_KEY_ID]->count * collections);
	return Max(rows, 1);
}

/* What conditions leave that decide no request. */
static double
estimate_rows(PlannerInfo *root, RelOptInfo *rel, const IuRelation *relation)
{
	List	   *local = NIL;
	ListCell   *cell;

	foreach(cell, rel->baserestrictinfo)
	{
		Node	   *clause = (Node *) lfirst_node(RestrictInfo, cell)->clause;
		int			role;

		for (role = 0; role < IU_ROLES; role++)
			if (iu_keys_of_clause(root, rel, relation->table, role, clause))
				break;
		if (role == IU_ROLES)
			local = lappend(local, lfirst(cell));
	}
	return clamp_row_est(iu_relation_transfer(relation, &relation->restriction) *
						 clauselist_selectivity(root, local, 0, JOIN_INNER, NULL));
}

static void
filter_is_not_passed(const IuTable *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" of foreign table \"%s\" can be compared with one value by = only",
					table->resource->columns[table->resource->role_columns[IU_KEY_FILTER]].name, table->name),
			 errhint("It passes the remote's own filter through. Put all conditions for the remote into one filter.")));
}

/*
 * The filter column shows what was passed on, and nothing else can be compared
 * with it: what is not pushed would silently be false for every row.
 */
static void
refuse_other_filters(PlannerInfo *root, RelOptInfo *rel, const IuTable *table)
{
	ListCell   *cell;
	int			pushed = 0;

	foreach(cell, rel->baserestrictinfo)
	{
		Node	   *clause = (Node *) lfirst_node(RestrictInfo, cell)->clause;

		if (!iu_keys_mention(root, rel, table, IU_KEY_FILTER, clause))
			continue;
		if (iu_keys_of_clause(root, rel, table, IU_KEY_FILTER, clause) && ++pushed == 1)
			continue;
		filter_is_not_passed(table);
	}
}

void
iu_plan_size(const IuRemote *remote, PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	IuRelation *relation = palloc0(sizeof(IuRelation));

	relation->table = iu_table_open(remote, relid);
	relation->tuples = rel->tuples;
	relation->restriction.selectivity = 1;
	refuse_other_filters(root, rel, relation->table);
	iu_relation_restrict(root, rel, relation->table, rel->baserestrictinfo, &relation->restriction);
	relation->attributes = wanted_attributes(rel, relation->table);
	rel->fdw_private = relation;

	rel->rows = estimate_rows(root, rel, relation);
	rel->tuples = Max(rel->tuples, rel->rows);
}

/* ---- the plan ---- */

ForeignScan *
iu_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
			 List *tlist, List *clauses, Plan *outer_plan)
{
	const IuAsk *ask = linitial(path->fdw_private);
	List	   *expressions = NIL;
	IuPlan		plan = {0};
	int			role;

	if (ask->never)
		filter_is_not_passed(ask->relation->table);
	plan.remote = ask->relation->table->server->remote;
	plan.user = ask->user;
	plan.relid = ask->relation->table->relid;
	plan.limit = ask->limit;
	plan.page_size = ask->page_size;
	plan.output = ask->output;
	plan.grouped = ask->grouped;
	plan.attributes = ask->output ? NIL : ask->relation->attributes;
	for (role = 0; role < IU_ROLES; role++)
	{
		const IuKeySet *keys = ask->restriction.keys[role];
		int			i;

		if (keys == NULL)
			continue;
		expressions = list_concat(expressions, keys->expressions);
		plan.arrays = list_concat(plan.arrays, keys->arrays);
		for (i = 0; i < list_length(keys->expressions); i++)
			plan.roles = lappend_int(plan.roles, role);
	}
	return make_foreignscan(tlist, extract_actual_clauses(clauses, false), rel->relid,
							expressions, iu_plan_pack(&plan), ask->columns, NIL, outer_plan);
}
