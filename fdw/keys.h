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
	bool		by_rows;		/* a value comes from rows of the query, not from its text and parameters alone */
} IuKeySet;

extern IuKeySet *iu_keys_of_clause(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table,
								   IuRole role, Node *clause);

extern bool iu_keys_decide(const RelOptInfo *rel, const IuTable *table, IuRole role, const List *sets,
						   const Node *clause);

/* The expressions that give the keys of a scan, as its plan has them. */
typedef struct IuKeySource
{
	List	   *roles;			/* int list: per expression */
	List	   *arrays;			/* int list: per expression, whether it gives an array */
	List	   *clauses;		/* int list: per expression, the number of the clause that it is of */
} IuKeySource;

extern List *iu_keys_evaluate(IuRole role, const IuKeySource *source, List *states, ExprContext *expressions);

/* Of lists of C strings in the order of strcmp, as the keys are. */
extern void iu_keys_sort(List *keys);
extern bool iu_keys_hold(const List *keys, const char *key);

#endif							/* IU_KEYS_H */
