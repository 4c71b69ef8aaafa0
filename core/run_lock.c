/*-------------------------------------------------------------------------
 *
 * run_lock.c
 *	  Two runs of migrations exclude each other by a lock on the extension
 *	  itself: unlike an advisory lock nobody can take it from SQL, and DROP
 *	  EXTENSION waits for it. A second lock of that kind, on no extension, keeps
 *	  runs and what the runner does on a schedule apart: a scheduled check may read
 *	  anything, in another order than that in which a run takes things away.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "core/rights.h"
#include "core/run_lock.h"
#include "core/transaction_lock.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"

#define LONGEST_WAIT_MS 60000	/* for the runner: it may have been stopped, and then it never ends what it is at */

/* Who holds the lock, in the words of a sentence. */
static char *
describe_other_run(Oid reader, Oid extension)
{
	Oid			types[1] = {OIDOID};
	Datum		values[1];
	char	   *detail = NULL;
	MemoryContext caller_memory = CurrentMemoryContext;
	IuIdentity	caller = iu_become(reader);

	values[0] = ObjectIdGetDatum(extension);
	SPI_connect();
	if (SPI_execute_with_args(
			"SELECT coalesce(format('Process %s of user \"%s\", application \"%s\", has run since %s.',"
			"                       a.pid, a.usename, a.application_name, a.xact_start),"
			"                'A prepared transaction holds it: see pg_prepared_xacts.')"
			"  FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)"
			" WHERE l.locktype = 'object' AND l.granted AND l.mode IN ('ExclusiveLock', 'AccessExclusiveLock')"
			"   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
			"   AND l.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND l.objid = $1",
			1, types, values, NULL, false, 1) == SPI_OK_SELECT &&
		SPI_processed == 1)
	{
		MemoryContext spi_memory = MemoryContextSwitchTo(caller_memory);

		detail = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		MemoryContextSwitchTo(spi_memory);
	}
	SPI_finish();
	iu_become_again(caller);
	return detail ? detail : "It has just ended.";
}

static LOCKTAG
scheduled_work(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, InvalidOid, 0);
	return tag;
}

bool
iu_hold_off_runs(void)
{
	LOCKTAG		tag = scheduled_work();

	return LockAcquire(&tag, ShareLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
iu_let_runs_begin(void)
{
	LOCKTAG		tag = scheduled_work();

	(void) LockRelease(&tag, ShareLock, true);
}

/* Waits for what the runner is at; raises when that takes too long. */
static void
wait_for_scheduled_work(void)
{
	LOCKTAG		tag = scheduled_work();
	MemoryContext caller_memory = CurrentMemoryContext;
	int			level = NewGUCNestLevel();

	if (LockTimeout == 0 || LockTimeout > LONGEST_WAIT_MS)
		(void) set_config_option("lock_timeout", psprintf("%d", LONGEST_WAIT_MS), PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	PG_TRY();
	{
		(void) iu_lock_for_transaction(&tag, ExclusiveLock, false);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller_memory);
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the runner of this database does not end what it is at"),
				 errdetail("A scheduled check is being carried out; migrations are run before it or after it."),
				 errhint("See iu_core.worker_status and v_iu_invariant: disable the check, or end a runner that stands "
						 "still. Then try again."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_migration_runner")));
	}
	PG_END_TRY();
	AtEOXact_GUC(false, level);
}

void
iu_exclude_other_runs(Oid reader)
{
	Oid			extension = get_extension_oid("iu_core", false);
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension, 0);
	if (iu_lock_for_transaction(&tag, ExclusiveLock, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("another migration run is in progress"),
				 errdetail("%s", describe_other_run(reader, extension)),
				 errhint("Wait until it has ended and look at iu_core.migrations."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_migration_running")));
	wait_for_scheduled_work();
	AcceptInvalidationMessages();
}
