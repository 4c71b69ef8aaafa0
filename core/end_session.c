/*-------------------------------------------------------------------------
 *
 * end_session.c
 *	  iu_core.end_session(): ends the session of somebody who stands in the way.
 *
 * The server lets a role end the sessions of roles whose member it is. Operators
 * are members of no agent, and iu_core_owner is nobody's; so the function that
 * they call (fn_iu_gate_unblock) comes here. It asks who may call; here is asked
 * whose session it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "core/compat.h"
#include "core/policy.h"
#include "core/rights.h"
#include "core/settings.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(iu_end_session);

#define END_WAIT_MS 5000		/* a session that is asked to end does so within milliseconds, unless it is stopped */
#define END_LOOK_MS 20

/* Why a session is not for operators to end; NULL: it is. */
static const char *
why_not(const PGPROC *process)
{
	if (process->databaseId != MyDatabaseId)
		return "it is in another database: ask a superuser to end it with pg_terminate_backend";
	if (!OidIsValid(process->roleId) || superuser_arg(process->roleId))
		return "it is a superuser's or the server's: ask a superuser to end it with pg_terminate_backend";
	if (process->roleId == get_role_oid(iu_worker_role, true))
		return "it is a worker of iu_core, and goes on by itself";
	if (process == MyProc)
		return "it is this session: end your transaction";
	return NULL;
}

/* Whether the process ends within END_WAIT_MS. */
static bool
wait_for_end(int pid)
{
	int			waited;

	for (waited = 0; waited < END_WAIT_MS; waited += END_LOOK_MS)
	{
		if (BackendPidGetProc(pid) == NULL)
			return true;
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, END_LOOK_MS,
						 WAIT_EVENT_BACKEND_TERMINATION);
		ResetLatch(MyLatch);
	}
	return false;
}

/* iu_core.end_session(pid): NULL if it has ended, otherwise what is to be done about it. */
Datum
iu_end_session(PG_FUNCTION_ARGS)
{
	int			pid = PG_GETARG_INT32(0);
	const PGPROC *process;
	const char *problem;

	iu_require_member(IU_OWNER_ROLE);
	process = BackendPidGetProc(pid);
	if (process == NULL)
		PG_RETURN_NULL();
	problem = why_not(process);
	/* As pg_terminate_backend() does it: the process may have gone, and its number be nobody's, by then. */
#ifdef HAVE_SETSID
	if (problem == NULL && kill(-pid, SIGTERM) != 0 && errno != ESRCH)
#else
	if (problem == NULL && kill(pid, SIGTERM) != 0 && errno != ESRCH)
#endif
		problem = "the server may not signal it: ask whoever runs the server";
	if (problem == NULL && !wait_for_end(pid))
		problem = "it was asked to end and has not: ask whoever runs the server to continue or kill the process";
	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}
