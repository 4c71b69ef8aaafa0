/*-------------------------------------------------------------------------
 *
 * transaction_lock.h
 *	  A lock that lasts as long as what is written under it.
 *
 * Of itself a lock belongs to the portal in which it is taken. Where a cursor
 * that was declared before a savepoint fails behind it, a rollback to the savepoint
 * takes the locks of the cursor with it, those from before the savepoint too, but
 * not what the cursor wrote before the savepoint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_TRANSACTION_LOCK_H
#define IU_TRANSACTION_LOCK_H

#include "storage/lock.h"
#include "utils/resowner.h"

/* To the end of the (sub)transaction. dont_wait: LOCKACQUIRE_NOT_AVAIL where somebody else has it. */
static inline LockAcquireResult
iu_lock_for_transaction(const LOCKTAG *tag, LOCKMODE mode, bool dont_wait)
{
	ResourceOwner owner = CurrentResourceOwner;
	LockAcquireResult result;

	CurrentResourceOwner = CurTransactionResourceOwner;
	result = LockAcquire(tag, mode, false, dont_wait);
	CurrentResourceOwner = owner;
	return result;
}

#endif							/* IU_TRANSACTION_LOCK_H */
