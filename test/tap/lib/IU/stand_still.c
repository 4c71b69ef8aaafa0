/*
 * stand_still.c: a process that stands still where it is worst for the workers'
 * slots: with their lock in its hand, and in the middle of a change of each.
 */
#include "postgres.h"

#include <unistd.h>

#include "core/slots.h"
#include "fmgr.h"
#include "storage/shmem.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(stand_still);

static void
change_all(IuShared *shared)
{
	int			i;

	for (i = 0; i < IU_MAX_WORKERS; i++)
		if (shared->workers[i].in_use)
			pg_atomic_fetch_add_u32(&shared->changes[i], 1);
}

/* Stands still as long as a file is there. */
Datum
stand_still(PG_FUNCTION_ARGS)
{
	const char *file = PG_GETARG_CSTRING(0);
	bool		found;
	IuShared   *shared = ShmemInitStruct("iu_core", sizeof(IuShared), &found);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	change_all(shared);
	while (access(file, F_OK) == 0)
		pg_usleep(10000L);
	change_all(shared);
	LWLockRelease(shared->lock);
	PG_RETURN_VOID();
}
