/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  Planning of foreign scans, and what a plan hands to its scan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_PLAN_H
#define IU_PLAN_H

#include "fdw/remote.h"
#include "foreign/fdwapi.h"

/*
 * Members of fdw_private. fdw_exprs holds the expressions of the keys; with
 * KEYED unset every key is wanted.
 */
enum
{
	IU_PLAN_REMOTE,				/* String: name of the IuRemote */
	IU_PLAN_USER,				/* oid list of one: checked as; 0: current user */
	IU_PLAN_FLAGS,				/* int list: keyed, key only */
	IU_PLAN_ARRAYS				/* int list: per expression, whether it is an array */
};

extern void iu_plan_size(const IuRemote *remote, PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void iu_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *iu_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
								 List *tlist, List *clauses, Plan *outer_plan);

#endif							/* IU_PLAN_H */
