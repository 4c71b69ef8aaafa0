/*-------------------------------------------------------------------------
 *
 * relation.h
 *	  What planning knows of a foreign table: its restrictions, and what
 *	  reading it costs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_RELATION_H
#define IU_RELATION_H

#include "fdw/keys.h"
#include "fdw/table.h"

/* What clauses say about the keys that decide the requests. */
typedef struct IuRestriction
{
	List	   *keys[IU_ROLES]; /* IuKeySet, one for each clause: what is read has keys that are in all of them */
	int			clauses;		/* how many say something about keys */
	double		selectivity;	/* of those on the collection */
} IuRestriction;

/* In fdw_private of a RelOptInfo. */
typedef struct IuRelation
{
	IuTable    *table;
	double		tuples;			/* by ANALYZE; -1: unknown */
	IuRestriction restriction;	/* by the table's own clauses */
	List	   *attributes;		/* int list: attribute numbers that the query looks at */
	bool		filter_decides; /* a way that passes no filter on must not be chosen */
} IuRelation;

/* What one way to read the table asks for. In fdw_private of a ForeignPath, as its only member. */
typedef struct IuAsk
{
	const IuRelation *relation;
	IuRestriction restriction;
	Oid			user;
	double		limit;			/* rows that are enough; -1: all */
	int			page_size;		/* 0: as the options say */
	List	   *columns;		/* fdw_scan_tlist where count(*) is one request */
	List	   *output;			/* int list beside it: IU_OUTPUT_... */
	bool		grouped;
	bool		never;			/* passes no filter on where the query needs one: must not be chosen */
} IuAsk;

extern void iu_relation_open(const IuRemote *remote, PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern List *iu_relation_restrict(PlannerInfo *root, RelOptInfo *rel, const IuTable *table, List *clauses,
								  IuRestriction *restriction);
extern double iu_relation_keys(const IuRestriction *restriction, IuRole role);

extern double iu_relation_collections(const IuTable *table, const IuRestriction *restriction);
extern double iu_relation_transfer(const IuRelation *relation, const IuRestriction *restriction);
extern void iu_relation_cost(const IuAsk *ask, double rows, double *startup, double *total);

#endif							/* IU_RELATION_H */
