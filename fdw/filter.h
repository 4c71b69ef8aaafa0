/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  The column "filter" of foreign tables: where a query may use it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_FILTER_H
#define IU_FILTER_H

#include "fdw/table.h"
#include "nodes/pathnodes.h"

extern void iu_filter_check(PlannerInfo *root, RelOptInfo *rel, const IuTable *table);
extern bool iu_filter_decides(PlannerInfo *root, RelOptInfo *rel, const IuTable *table);
extern void iu_filter_refuse(const IuTable *table);

#endif							/* IU_FILTER_H */
