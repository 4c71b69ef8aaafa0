/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  The plan of a foreign scan: what it hands to its execution.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/filter.h"
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
	PLAN_NUMBERS,				/* int list: page size, grouped, listed, decided */
	PLAN_ROLES,
	PLAN_ARRAYS,
	PLAN_CLAUSES,
	PLAN_ATTRIBUTES,
	PLAN_OUTPUT
};

static List *
pack_plan(const IuPlan *plan)
{
	List	   *private = list_make5(iu_table_pack(plan->table),
									list_make1_oid(plan->user),
									makeFloat(psprintf("%.0f", plan->limit)),
									list_make4_int(plan->page_size, plan->grouped, plan->listed,
												   plan->decided),
									plan->keys.roles);

	private = lappend(private, plan->keys.arrays);
	private = lappend(private, plan->keys.clauses);
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
	plan->listed = lthird_int(numbers);
	plan->decided = lfourth_int(numbers);
	plan->keys.roles = list_nth(private, PLAN_ROLES);
	plan->keys.arrays = list_nth(private, PLAN_ARRAYS);
	plan->keys.clauses = list_nth(private, PLAN_CLAUSES);
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
	query->listed = plan->listed;
	foreach(cell, plan->keys.roles)
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

/*
 * Adds the expressions that give keys of this role.
 *
 * clauses: how many clauses have been numbered, counted on. Returns the
 * expressions, with those before them.
 */
static List *
add_expressions(const IuRestriction *restriction, IuRole role, IuKeySource *source, List *expressions, int *clauses)
{
	ListCell   *cell;

	foreach(cell, restriction->keys[role])
	{
		const IuKeySet *keys = lfirst(cell);
		int			i;

		expressions = list_concat(expressions, keys->expressions);
		source->arrays = list_concat(source->arrays, keys->arrays);
		for (i = 0; i < list_length(keys->expressions); i++)
		{
			source->roles = lappend_int(source->roles, role);
			source->clauses = lappend_int(source->clauses, *clauses);
		}
		(*clauses)++;
	}
	return expressions;
}

/*
 * Whether the names of collections come from rows: then the query asks for those
 * of the list of collections that have these names, as it would if it were
 * planned to read the list and compare. A name in the text of the query, or a
 * parameter of it, is looked up as it is, under every plan.
 */
static bool
names_come_from_rows(const IuRestriction *restriction)
{
	ListCell   *cell;

	foreach(cell, restriction->keys[IU_KEY_COLLECTION])
		if (!((const IuKeySet *) lfirst(cell))->by_rows)
			return false;
	return restriction->keys[IU_KEY_COLLECTION] != NIL;
}

/*
 * The clauses that the executor is to check. Those that the keys decide are the
 * scan's, which finds a key among many sooner; they go into *decided.
 */
static List *
clauses_to_check(const IuAsk *ask, const RelOptInfo *rel, List *clauses, IuPlan *plan, List **decided)
{
	static const IuRole roles[] = {IU_KEY_COLLECTION, IU_KEY_ID};
	List	   *checked = NIL;
	ListCell   *cell;

	foreach(cell, clauses)
	{
		int			i;

		for (i = 0; i < lengthof(roles); i++)
			if (iu_keys_decide(rel, plan->table, roles[i], ask->restriction.keys[roles[i]], lfirst(cell)))
				break;
		if (i < lengthof(roles))
		{
			plan->decided |= 1 << roles[i];
			*decided = lappend(*decided, lfirst(cell));
		}
		else
			checked = lappend(checked, lfirst(cell));
	}
	return checked;
}

/* GetForeignPlan: the plan of the chosen path, whose fdw_private is an IuAsk. */
ForeignScan *
iu_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
			 List *tlist, List *clauses, Plan *outer_plan)
{
	const IuAsk *ask = linitial(path->fdw_private);
	List	   *expressions = NIL;
	List	   *checked;
	List	   *decided = NIL;
	IuPlan		plan = {0};
	int			numbered = 0;
	int			role;

	if (ask->never)
		iu_filter_refuse(ask->relation->table);
	plan.table = ask->relation->table;
	plan.user = ask->user;
	plan.limit = ask->limit;
	plan.page_size = ask->page_size;
	plan.output = ask->output;
	plan.grouped = ask->grouped;
	plan.listed = plan.table->collection == NULL && names_come_from_rows(&ask->restriction);
	plan.attributes = ask->output ? NIL : ask->relation->attributes;
	for (role = 0; role < IU_ROLES; role++)
		expressions = add_expressions(&ask->restriction, role, &plan.keys, expressions, &numbered);
	checked = clauses_to_check(ask, rel, extract_actual_clauses(clauses, false), &plan, &decided);
	return make_foreignscan(tlist, checked, rel->relid, expressions, pack_plan(&plan), ask->columns, decided,
							outer_plan);
}
