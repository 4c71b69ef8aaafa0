/*-------------------------------------------------------------------------
 *
 * wanted.h
 *	  Which databases are to have workers, and whether these can run there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_WANTED_H
#define IU_WANTED_H

#include "core/slots.h"
#include "nodes/pg_list.h"

/* Whether workers can run in a database, and as whom. */
typedef struct IuVerdict
{
	IuWorkerState state;		/* IU_RUNNING: it can */
	Oid			role;
	Oid			database;
	const char *why;			/* they cannot, for people */
	const char *hint;
} IuVerdict;

/* A database of iu_core.databases. */
typedef struct IuWanted
{
	NameData	name;
	IuVerdict	verdict;
} IuWanted;

extern List *iu_wanted_databases(void);

#endif							/* IU_WANTED_H */
