/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  Wakes workers when the current transaction commits, so that nobody polls.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_WAKE_H
#define IU_WAKE_H

#include "core/status.h"

#define IU_WAKE(role) (1 << (role))
#define IU_WAKE_ALL (IU_WAKE(IU_LAUNCHER) | IU_WAKE(IU_WATCHDOG) | IU_WAKE(IU_SENDER))

/* From _PG_init: installs the transaction callback, once per backend. */
extern void iu_wake_init(void);

/* Wakes the workers of these roles in this database at commit. */
extern void iu_wake_at_commit(int roles);

/* Wakes them now; InvalidOid means those of every database. */
extern void iu_wake_now(int roles, Oid database);

#endif							/* IU_WAKE_H */
