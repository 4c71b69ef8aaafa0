/*-------------------------------------------------------------------------
 *
 * relation.c
 *	  What planning knows of a foreign table: its restrictions, and what
 *	  reading it costs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/sysattr.h"
#include "core/compat.h"
#include "fdw/filter.h"
#include "fdw/relation.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"

/* Estimates where nothing is known. */
#define DEFAULT_COLLECTIONS 100
#define DEFAULT_ROWS 10000		/* of one collection: a look-up of some keys is the better guess */
#define FILTER_LEAVES 0.1

/* In the planner's units; one round trip is worth some ten thousand local rows. */
#define ROUND_TRIP_COST 100.0
#define REQUEST_COST 10.0
#define ROW_COST 0.05

/* ---- restrictions ---- */

/*
 * Adds what clauses say about keys. Returns those that say nothing about keys,
 * which are checked here after the rows have come.
 *
 * clauses: RestrictInfos of the relation, or of its joins.
 */
List *
iu_relation_restrict(PlannerInfo *root, RelOptInfo *rel, const IuTable *table, List *clauses,
					 IuRestriction *restriction)
{
	List	   *others = NIL;
	ListCell   *cell;

	foreach(cell, clauses)
	{
		Node	   *clause = (Node *) lfirst_node(RestrictInfo, cell)->clause;
		IuKeySet   *keys = NULL;
		int			role;

		for (role = 0; role < IU_ROLES && keys == NULL; role++)
		{
			keys = iu_keys_of_clause(root, rel, table, role, clause);
			if (keys == NULL)
				continue;
			restriction->clauses++;
			if (role == IU_KEY_COLLECTION)
				restriction->selectivity *= clauselist_selectivity(root, list_make1(lfirst(cell)), rel->relid,
																   JOIN_INNER, NULL);
			restriction->keys[role] = lappend(restriction->keys[role], keys);
		}
		if (keys == NULL)
			others = lappend(others, lfirst(cell));
	}
	return others;
}

/* How many keys of this role there are at most, as an estimate; -1: they are not restricted. */
double
iu_relation_keys(const IuRestriction *restriction, IuRole role)
{
	double		count = -1;
	ListCell   *cell;

	foreach(cell, restriction->keys[role])
	{
		const IuKeySet *keys = lfirst(cell);

		count = count < 0 ? keys->count : Min(count, keys->count);
	}
	return count;
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

/* How many collections will be read. */
double
iu_relation_collections(const IuTable *table, const IuRestriction *restriction)
{
	if (table->collection != NULL)
		return 1;
	if (restriction->keys[IU_KEY_COLLECTION] != NIL)
		return Max(iu_relation_keys(restriction, IU_KEY_COLLECTION), 1);
	return DEFAULT_COLLECTIONS;
}

/* How many rows will come from the remote, before conditions are checked here. */
double
iu_relation_transfer(const IuRelation *relation, const IuRestriction *restriction)
{
	const IuTable *table = relation->table;
	double		collections = iu_relation_collections(table, restriction);
	double		rows;

	if (!table->resource->has_fields && restriction->keys[IU_KEY_COLLECTION])
		rows = collections;
	else if (relation->tuples >= 0)
		rows = relation->tuples * restriction->selectivity;
	else
		rows = table->resource->has_fields ? collections * DEFAULT_ROWS : collections;
	if (restriction->keys[IU_KEY_FILTER])
		rows *= FILTER_LEAVES;
	if (restriction->keys[IU_KEY_ID])
		rows = Min(rows, iu_relation_keys(restriction, IU_KEY_ID) * collections);
	return Max(rows, 1);
}

/*
 * What a way to read the table costs, in the planner's units.
 *
 * rows: how many it hands out; *startup, *total: the result.
 */
void
iu_relation_cost(const IuAsk *ask, double rows, double *startup, double *total)
{
	const IuTable *table = ask->relation->table;
	const IuRestriction *restriction = &ask->restriction;
	bool		lists = table->collection == NULL && restriction->keys[IU_KEY_COLLECTION] == NIL;
	double		collections = iu_relation_collections(table, restriction);
	double		transfer = iu_relation_transfer(ask->relation, restriction);
	double		page = ask->page_size > 0 ? ask->page_size : table->page_size;
	double		each;			/* requests for a collection, one after the other */
	double		rounds;			/* of so many requests at once as there may be */

	if (restriction->keys[IU_KEY_ID])
		page = IU_IDS_PER_REQUEST;
	each = ask->output || !table->resource->has_fields ? 1 : ceil(transfer / collections / page);
	if (!table->resource->has_fields && lists && list_length(ask->relation->attributes) <= 1)
		each = 0;
	rounds = ceil(collections / table->server->connections);

	*startup = ROUND_TRIP_COST;
	*total = ((lists ? 1 : 0) + each * rounds) * ROUND_TRIP_COST + each * collections * REQUEST_COST +
		(ask->output ? 0 : transfer * ROW_COST) + rows * cpu_tuple_cost;
	*total = Max(*total, *startup);
}

/* ---- the planner's first call ---- */

/*
 * GetForeignRelSize: opens the table, finds out what the query's clauses say
 * about it and estimates how many rows it gives. Raises for options, columns
 * and conditions that are not as they must be.
 */
void
iu_relation_open(const IuRemote *remote, PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	IuRelation *relation = palloc0(sizeof(IuRelation));
	List	   *others;

	relation->table = iu_table_open(remote, relid);
	relation->tuples = rel->tuples;
	relation->restriction.selectivity = 1;
	iu_filter_check(root, rel, relation->table);
	relation->filter_decides = iu_filter_decides(root, rel, relation->table);
	others = iu_relation_restrict(root, rel, relation->table, rel->baserestrictinfo, &relation->restriction);
	relation->attributes = wanted_attributes(rel, relation->table);
	rel->fdw_private = relation;

	rel->rows = clamp_row_est(iu_relation_transfer(relation, &relation->restriction) *
							  clauselist_selectivity(root, others, 0, JOIN_INNER, NULL));
	rel->tuples = Max(rel->tuples, rel->rows);
}
