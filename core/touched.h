/*-------------------------------------------------------------------------
 *
 * touched.h
 *	  Which objects this transaction has made or changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_TOUCHED_H
#define IU_TOUCHED_H

#include "nodes/pg_list.h"

/*
 * Oids, of whatever catalog, of the objects of which a command of this
 * transaction from the given one on wrote or deleted a row of a catalog: the
 * object's own, or one of a column, constraint, index, default, rule, policy,
 * comment. Each at least once; what is nobody's object may be among them.
 */
extern List *iu_touched_since(CommandId since);

#endif							/* IU_TOUCHED_H */
