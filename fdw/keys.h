/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  The keys of a scan: what clauses say of them, and how they are found.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_KEYS_H
#define IU_KEYS_H

#include "fdw/options.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

/* What a clause says about a role: any of these expressions. */
typedef struct IuKeySet
{
	List	   *expressions;
	List	   *arrays;			/* int list: whether that expression is an array */
	double		count;			/* estimate */
} IuKeySet;

/* NULL: the clause says nothing about the role. */
extern IuKeySet *iu_keys_of_clause(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table,
								   IuRole role, Node *clause);

/* Whether the column of the role stands anywhere in the clause. */
extern bool iu_keys_mention(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table, IuRole role,
							Node *clause);

/* Distinct C strings in the current memory context; NULL equals nothing, so it is no key. */
extern List *iu_keys_evaluate(IuRole role, List *states, List *roles, List *arrays, ExprContext *expressions);

#endif							/* IU_KEYS_H */
