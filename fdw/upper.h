/*-------------------------------------------------------------------------
 *
 * upper.h
 *	  count(*) as one request.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_UPPER_H
#define IU_UPPER_H

#include "nodes/pathnodes.h"

extern void iu_upper_add(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
						 RelOptInfo *output, void *extra);

#endif							/* IU_UPPER_H */
