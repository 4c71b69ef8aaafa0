/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  Planning of foreign scans, and what a plan hands to its scan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_PLAN_H
#define IU_PLAN_H

#include "fdw/options.h"
#include "foreign/fdwapi.h"

/*
 * What fdw_private holds. fdw_exprs holds the expressions of the keys, roles
 * and arrays beside it; a role without any is not restricted.
 */
typedef struct IuPlan
{
	const IuRemote *remote;
	Oid			user;			/* checked as; InvalidOid: current user */
	Oid			relid;
	double		limit;			/* rows that are enough; -1: all */
	int			page_size;		/* 0: as the options say */
	List	   *roles;			/* int list: per expression */
	List	   *arrays;			/* int list: per expression, whether it is an array */
	List	   *attributes;		/* int list: attribute numbers that the query looks at */
	List	   *output;			/* int list: IU_OUTPUT_... where count(*) was pushed, else NIL */
	bool		grouped;
} IuPlan;

extern List *iu_plan_pack(const IuPlan *plan);
extern void iu_plan_unpack(IuPlan *plan, List *private);

/* What the query comes to for a resource: restrictions, wants. The rest of it is the scan's. */
extern void iu_plan_query(const IuPlan *plan, const IuTable *table, IuQuery *query);

extern void iu_plan_size(const IuRemote *remote, PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void iu_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void iu_plan_upper(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
						  RelOptInfo *output, void *extra);
extern ForeignScan *iu_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
								 List *tlist, List *clauses, Plan *outer_plan);

#endif							/* IU_PLAN_H */
