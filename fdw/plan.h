/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  The plan of a foreign scan: what it hands to its execution.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_PLAN_H
#define IU_PLAN_H

#include "fdw/keys.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"

/*
 * What fdw_private holds. fdw_exprs holds the expressions that give the keys; a
 * role without any is not restricted.
 */
typedef struct IuPlan
{
	const IuTable *table;
	Oid			user;			/* whose rights and secret count; InvalidOid: the current user's */
	double		limit;			/* rows that are enough; -1: all */
	int			page_size;		/* 0: as the options say */
	IuKeySource keys;			/* beside fdw_exprs */
	bool		listed;			/* as in IuQuery */
	int			decided;		/* bits of the roles whose keys each row is looked up in, instead of a clause */
	List	   *attributes;		/* int list: attribute numbers that the query looks at */
	List	   *output;			/* int list: IU_OUTPUT_... where count(*) is one request, else NIL */
	bool		grouped;
} IuPlan;

extern ForeignScan *iu_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
								 List *tlist, List *clauses, Plan *outer_plan);
extern void iu_plan_unpack(IuPlan *plan, const IuRemote *remote, List *private);
extern void iu_plan_query(const IuPlan *plan, IuQuery *query);

#endif							/* IU_PLAN_H */
