/*-------------------------------------------------------------------------
 *
 * named_lock.c
 *	  A lock on something that has no row yet, by a name: a key with which a
 *	  second call waits for the first, a whole tree, a chore of which one at a
 *	  time is enough. An advisory lock would do, but any login may take those, and
 *	  whoever took one would hold up others for as long as it likes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_description.h"
#include "common/hashfn.h"
#include "core/compat.h"
#include "core/transaction_lock.h"
#include "fmgr.h"
#include "miscadmin.h"

PG_FUNCTION_INFO_V1(iu_named_lock);
PG_FUNCTION_INFO_V1(iu_try_named_lock);

/*
 * The server locks no part of an object, and no description at all: so the lock of a name is that of a part of a
 * description. Two names that share the 48 bits of their hash only wait for each other.
 */
static LOCKTAG
lock_of_name(text *name)
{
	LOCKTAG		tag;
	uint64		hash = hash_bytes_extended((const unsigned char *) VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), 0);

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, DescriptionRelationId, (uint32) hash,
					   (uint16) (1 + (hash >> 32) % PG_UINT16_MAX));
	return tag;
}

/* SQL: named_lock(name text) */
Datum
iu_named_lock(PG_FUNCTION_ARGS)
{
	LOCKTAG		tag = lock_of_name(PG_GETARG_TEXT_PP(0));

	PreventCommandDuringRecovery("iu_core.named_lock()");
	(void) iu_lock_for_transaction(&tag, ExclusiveLock, false);
	PG_RETURN_VOID();
}

/* SQL: try_named_lock(name text) */
Datum
iu_try_named_lock(PG_FUNCTION_ARGS)
{
	LOCKTAG		tag = lock_of_name(PG_GETARG_TEXT_PP(0));

	PreventCommandDuringRecovery("iu_core.try_named_lock()");
	PG_RETURN_BOOL(iu_lock_for_transaction(&tag, ExclusiveLock, true) != LOCKACQUIRE_NOT_AVAIL);
}
