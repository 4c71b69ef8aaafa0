/*-------------------------------------------------------------------------
 *
 * second_lock.c
 *	  Whoever writes what others find by its time holds a lock that names the
 *	  second at which it began; whoever looks learns the oldest of them, before
 *	  which nothing more will come. Unlike an advisory lock nobody can take it from
 *	  SQL: the server itself locks objects without a part, and these have one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_extension.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/transaction_lock.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_hold_second);
PG_FUNCTION_INFO_V1(iu_oldest_second);

/*
 * The lock of a second, counted from the first that a timestamp can name, so that no clock is before it: its lower half
 * is the object, the rest, which fits into 16 bits for every timestamp, is the part, from 1 on.
 */
static LOCKTAG
lock_of_second(uint64 second)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, (uint32) second, (uint16) (1 + (second >> 32)));
	return tag;
}

/* Whether a lock is one of this database's; if so, when the second begins that it names. */
static bool
names_second(const LOCKTAG *tag, TimestampTz *begin)
{
	if (tag->locktag_type != LOCKTAG_OBJECT || tag->locktag_field1 != MyDatabaseId ||
		tag->locktag_field2 != ExtensionRelationId || tag->locktag_field4 == 0)
		return false;
	*begin = MIN_TIMESTAMP +
		((((int64) tag->locktag_field4 - 1) << 32) | tag->locktag_field3) * USECS_PER_SEC;
	return true;
}

/*
 * SQL: hold_second(). One lock is enough for a transaction, however long it lasts; the one that a savepoint took is
 * gone when that is rolled back, and is then taken anew.
 */
Datum
iu_hold_second(PG_FUNCTION_ARGS)
{
	static LOCKTAG held;

	if (!LockHeldByMe(&held, AccessShareLock, false))
	{
		held = lock_of_second((iu_now() - MIN_TIMESTAMP) / USECS_PER_SEC);
		(void) iu_lock_for_transaction(&held, AccessShareLock, false);
	}
	PG_RETURN_VOID();
}

/* SQL: oldest_second() */
Datum
iu_oldest_second(PG_FUNCTION_ARGS)
{
	/* First the clock, then the locks: who takes one after the look reads a later time. */
	TimestampTz oldest = iu_now();
	LockData   *locks = GetLockStatusData();
	int			i;

	for (i = 0; i < locks->nelements; i++)
	{
		TimestampTz begin;

		if (names_second(&locks->locks[i].locktag, &begin))
			oldest = Min(oldest, begin);
	}
	PG_RETURN_TIMESTAMPTZ(oldest);
}
