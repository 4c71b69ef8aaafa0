/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  The keys of a scan: which clauses give them, and what they are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_KEYS_H
#define IU_KEYS_H

#include "fdw/table.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

/* The keys of one role that a clause gives: the values of any of these expressions. */
typedef struct IuKeySet
{
	List	   *expressions;
	List	   *arrays;			/* int list: whether the expression beside it is an array */
	double		count;			/* estimate */
} IuKeySet;

extern IuKeySet *iu_keys_of_clause(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table,
								   IuRole role, Node *clause);
extern bool iu_keys_mention(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table, IuRole role,
							Node *clause);
extern List *iu_keys_evaluate(IuRole role, List *states, List *roles, List *arrays, ExprContext *expressions);

#endif							/* IU_KEYS_H */
