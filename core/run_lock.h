/*-------------------------------------------------------------------------
 *
 * run_lock.h
 *	  The lock by which two runs of migrations exclude each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_RUN_LOCK_H
#define IU_RUN_LOCK_H

#include "postgres_ext.h"

/*
 * Takes the lock until the end of the transaction, or raises and says who holds
 * it. "reader" is the role that looks for the holder: an admin role may not.
 */
extern void iu_exclude_other_runs(Oid reader);

#endif							/* IU_RUN_LOCK_H */
