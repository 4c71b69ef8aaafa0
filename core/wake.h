/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  Wakes workers when the current transaction commits, so that nobody polls.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_WAKE_H
#define IU_WAKE_H

#include "core/slots.h"

/* From _PG_init: installs the transaction callbacks, once per process. */
extern void iu_wake_init(void);

/* Wakes the workers of these roles in this database at commit. */
extern void iu_wake_at_commit(int roles);

#endif							/* IU_WAKE_H */
