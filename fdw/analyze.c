/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  ANALYZE of foreign tables: a sample of all rows, and how many there are.
 *
 * No remote gives a random sample, so every row is read, and the total is
 * exact. A column that is not to be analyzed (SET STATISTICS 0) is not asked
 * for: worth it for vectors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "core/compat.h"
#include "fdw/analyze.h"
#include "fdw/plan.h"
#include "fdw/scan.h"
#include "utils/rel.h"
#include "utils/sampling.h"
#include "utils/syscache.h"

/* Whether ANALYZE looks at the column: not with SET STATISTICS 0. */
static bool
is_analyzed(Oid relid, AttrNumber attribute)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attribute));
	Datum		target;
	bool		is_null;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	target = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attstattarget, &is_null);
	result = is_null || iu_statistics_target(target) != 0;
	ReleaseSysCache(tuple);
	return result;
}

/* The numbers of the columns that ANALYZE looks at: int list. */
static List *
analyzed_attributes(const IuTable *table)
{
	List	   *attributes = NIL;
	int			i;

	for (i = 1; i <= table->attribute_count; i++)
		if (table->column_of[i - 1] != IU_NO_COLUMN && is_analyzed(table->relid, i))
			attributes = lappend_int(attributes, i);
	return attributes;
}

/* Starts reading the whole table, as its owner. */
static IuScan *
open_sampling(const IuRemote *remote, Relation relation)
{
	List	   *keys[IU_ROLES] = {NIL};
	IuPlan		plan = {0};
	IuQuery		query;
	IuScan	   *scan;

	plan.table = iu_table_open(remote, RelationGetRelid(relation));
	plan.attributes = analyzed_attributes(plan.table);
	iu_plan_query(&plan, &query);
	scan = iu_scan_open(CurrentMemoryContext, relation->rd_rel->relowner, &query, -1,
						RelationGetDescr(relation), plan.attributes);
	iu_scan_start(scan, keys);
	return scan;
}

/*
 * The work of an AcquireSampleRowsFunc: reads the whole table, and each row has
 * the same chance to be among the sample (Vitter's algorithm Z).
 *
 * remote: the one of the table's wrapper; rows: room for the sample of at most
 * target rows; *total, *dead: how many there are. Returns how many rows the
 * sample has.
 */
int
iu_analyze_sample(const IuRemote *remote, Relation relation, HeapTuple *rows, int target,
				  double *total, double *dead)
{
	IuScan	   *scan = open_sampling(remote, relation);
	ReservoirStateData reservoir;
	double		skip = -1;
	int			count = 0;
	HeapTuple	row;
	bool		unfinished;

	*total = 0;
	*dead = 0;
	reservoir_init_selection_state(&reservoir, target);
	while ((row = iu_scan_next(scan, true, &unfinished)) != NULL)
	{
		if (count < target)
			rows[count++] = heap_copytuple(row);
		else
		{
			if (skip < 0)
				skip = reservoir_get_next_S(&reservoir, *total, target);
			if (skip <= 0)
			{
				int			victim = (int) (target * sampler_random_fract(&reservoir.randstate));

				heap_freetuple(rows[victim]);
				rows[victim] = heap_copytuple(row);
			}
			skip -= 1;
		}
		*total += 1;
	}
	iu_scan_close(scan);
	return count;
}
