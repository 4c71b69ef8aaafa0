/*-------------------------------------------------------------------------
 *
 * run_lock.h
 *	  The locks by which two runs of migrations exclude each other, and a run and
 *	  what the runner does on a schedule.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_RUN_LOCK_H
#define IU_RUN_LOCK_H

#include "postgres_ext.h"

/*
 * Takes the locks until the end of the transaction: waits for what the runner is
 * at, a minute or lock_timeout, and raises at once, and says who it is, where another
 * run is at work. "reader" is the role that looks for that one: an admin role may not.
 */
extern void iu_exclude_other_runs(Oid reader);

/*
 * For the runner, in a transaction: false where a run is at work or about to be.
 * Otherwise none begins until iu_let_runs_begin is called or a transaction fails.
 */
extern bool iu_hold_off_runs(void);
extern void iu_let_runs_begin(void);

#endif							/* IU_RUN_LOCK_H */
