/*-------------------------------------------------------------------------
 *
 * paths.h
 *	  The ways to read a foreign table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_PATHS_H
#define IU_PATHS_H

#include "nodes/pathnodes.h"

extern void iu_paths_add(PlannerInfo *root, RelOptInfo *rel, Oid relid);

#endif							/* IU_PATHS_H */
