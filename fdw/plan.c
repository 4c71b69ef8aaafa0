/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  The plan of a foreign scan: what it hands to its execution.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/plan.h"
#include "fdw/relation.h"
#include "nodes/makefuncs.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"

/* Members of fdw_private. */
enum
{
	PLAN_TABLE,					/* from iu_table_pack */
	PLAN_USER,					/* oid list of one */
	PLAN_LIMIT,					/* Float */
	PLAN_NUMBERS,				/* int list: page size, grouped */
	PLAN_ROLES,
	PLAN_ARRAYS,
	PLAN_ATTRIBUTES,
	PLAN_OUTPUT
};

static List *
pack_plan(const IuPlan *plan)
{
	List	   *private = list_make5(iu_table_pack(plan->table),
									list_make1_oid(plan->user),
									makeFloat(psprintf("%.0f", plan->limit)),
									list_make2_int(plan->page_size, plan->grouped),
									plan->roles);

	private = lappend(private, plan->arrays);
	private = lappend(private, plan->attributes);
	return lappend(private, plan->output);
}

/*
 * Reads a plan's fdw_private, into which the result points.
 *
 * remote: the one of the table's wrapper.
 */
void
iu_plan_unpack(IuPlan *plan, const IuRemote *remote, List *private)
{
	List	   *numbers = list_nth(private, PLAN_NUMBERS);

	plan->table = iu_table_unpack(remote, list_nth(private, PLAN_TABLE));
	plan->user = linitial_oid(list_nth(private, PLAN_USER));
	plan->limit = floatVal(list_nth(private, PLAN_LIMIT));
	plan->page_size = linitial_int(numbers);
	plan->grouped = lsecond_int(numbers);
	plan->roles = list_nth(private, PLAN_ROLES);
	plan->arrays = list_nth(private, PLAN_ARRAYS);
	plan->attributes = list_nth(private, PLAN_ATTRIBUTES);
	plan->output = list_nth(private, PLAN_OUTPUT);
}

static bool
is_named(const List *names, const char *name)
{
	ListCell   *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/* What a plan comes to for its table's resource: what is restricted, and what is looked at. */
void
iu_plan_query(const IuPlan *plan, IuQuery *query)
{
	const IuTable *table = plan->table;
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
		else if (table->column_of[i] == IU_FIELD_COLUMN && !is_named(query->fields, table->field_of[i]))
			query->fields = lappend(query->fields, unconstify(char *, table->field_of[i]));
	}
}

/* GetForeignPlan: the plan of the chosen path, whose fdw_private is an IuAsk. */
ForeignScan *
iu_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
			 List *tlist, List *clauses, Plan *outer_plan)
{
	const IuAsk *ask = linitial(path->fdw_private);
	List	   *expressions = NIL;
	IuPlan		plan = {0};
	int			role;

	if (ask->never)
		iu_relation_refuse_filter(ask->relation->table);
	plan.table = ask->relation->table;
	plan.user = ask->user;
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
							expressions, pack_plan(&plan), ask->columns, NIL, outer_plan);
}
