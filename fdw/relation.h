/*-------------------------------------------------------------------------
 *
 * relation.h
 *	  What planning knows of a foreign table, between plan.c, paths.c and
 *	  upper.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_RELATION_H
#define IU_RELATION_H

#include "fdw/keys.h"
#include "fdw/options.h"

typedef struct IuRestriction
{
	IuKeySet   *keys[IU_ROLES]; /* NULL: none */
	int			clauses;		/* that say something about keys */
	double		selectivity;	/* of those on the collection */
} IuRestriction;

/* In fdw_private of a RelOptInfo. */
typedef struct IuRelation
{
	IuTable    *table;
	double		tuples;			/* by ANALYZE; -1: unknown */
	IuRestriction restriction;	/* by the table's own clauses */
	List	   *attributes;		/* int list: what the query looks at */
} IuRelation;

/* In fdw_private of a ForeignPath, as its only member. */
typedef struct IuAsk
{
	const IuRelation *relation;
	IuRestriction restriction;
	Oid			user;
	double		limit;
	int			page_size;		/* 0: as the options say */
	List	   *columns;		/* fdw_scan_tlist where count(*) was pushed */
	List	   *output;			/* beside it */
	bool		grouped;
	bool		never;			/* leaves out the filter that a join has: for planning only */
} IuAsk;

/* Adds what these RestrictInfos say. */
extern void iu_relation_restrict(PlannerInfo *root, RelOptInfo *rel, const IuTable *table, List *clauses,
								 IuRestriction *restriction);

/* Estimates. */
extern double iu_relation_collections(const IuTable *table, const IuRestriction *restriction);
extern double iu_relation_transfer(const IuRelation *relation, const IuRestriction *restriction);

/* Sets startup and total cost of reading so many rows, and handing out so many. */
extern void iu_relation_cost(const IuAsk *ask, double rows, double *startup, double *total);

#endif							/* IU_RELATION_H */
