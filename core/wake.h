/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  Wakes workers when the current transaction commits, so that they need not
 *	  look around all the time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_WAKE_H
#define IU_WAKE_H

#include "core/slots.h"

/* From _PG_init: installs the transaction callbacks, once per process. */
extern void iu_wake_init(void);

extern void iu_wake_at_commit(int roles);

#endif							/* IU_WAKE_H */
