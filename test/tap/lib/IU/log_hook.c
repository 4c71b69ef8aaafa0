/*
 * log_hook.c: a library of somebody else's whose emit_log_hook fails. On a line
 * that ends with "log hook fails" it takes a lightweight lock and raises an error.
 */
#include "postgres.h"

#include "fmgr.h"
#include "storage/lwlock.h"
#include "utils/elog.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static void
fail(ErrorData *error)
{
	const char *found = error->message == NULL ? NULL : strstr(error->message, "log hook fails");

	if (found == NULL || strcmp(found, "log hook fails") != 0)
		return;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	ereport(ERROR, (errcode(ERRCODE_DISK_FULL), errmsg("no room for the line")));
}

void
_PG_init(void)
{
	emit_log_hook = fail;
}
