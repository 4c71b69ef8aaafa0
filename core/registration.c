/*-------------------------------------------------------------------------
 *
 * registration.c
 *	  Whether the server took the launcher among its background workers.
 *
 * A server has a fixed number of places for background workers. Libraries that
 * are loaded before this one may have taken them all: then the server leaves the
 * launcher out, with a line in its log, for as long as it runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/registration.h"
#include "postmaster/bgworker_internals.h"

/* Whether the server found a place for the launcher. In the postmaster, once all libraries are loaded. */
bool
iu_launcher_is_registered(void)
{
	IuBackgroundWorkerCursor cursor;

	iu_foreach_background_worker(cursor, &BackgroundWorkerList)
	{
		const RegisteredBgWorker *worker = iu_background_worker(cursor);

		if (strcmp(worker->rw_worker.bgw_function_name, "iu_launcher_main") == 0)
			return true;
	}
	return false;
}
