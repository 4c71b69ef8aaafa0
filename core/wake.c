/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  Latches at commit. What a transaction changed is visible to others only
 *	  after it committed, so the workers are woken then, not by the statement.
 *
 * Visible is not enough: what a worker has cached (a function that is not
 * there, a closed gate) is invalidated a little later in the commit. Woken
 * before that it would look, see nothing and sleep again. So the transaction
 * callback only notes who is to be woken, and it is done when the
 * transaction's locks are released, which comes after the invalidations.
 *
 * A prepared transaction leaves its notes behind, so COMMIT PREPARED wakes every
 * worker that might be concerned. Commands that change databases and roles wake
 * the launcher, so that what it waits for (a missing role, a missing database)
 * is seen at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/wake.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

PG_FUNCTION_INFO_V1(iu_wake);
PG_FUNCTION_INFO_V1(iu_wake_sender);

static ProcessUtility_hook_type previous_utility_hook = NULL;
static int	roles_at_commit = 0;
static int	roles_committed = 0;	/* to be woken at the end of this commit */

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			roles_committed = roles_at_commit;
			roles_at_commit = 0;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			roles_at_commit = 0;
			break;
		default:
			break;
	}
}

/* Must not fail either. */
static void
at_resource_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	int			roles = roles_committed;

	if (roles == 0 || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_commit || !is_top_level)
		return;
	roles_committed = 0;
	iu_slots_wake(roles, MyDatabaseId);
}

static int
roles_of_command(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_AlterDatabaseStmt:
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
		case T_DropRoleStmt:
			return IU_WAKE(IU_LAUNCHER);
		case T_RenameStmt:
			return ((RenameStmt *) statement)->renameType == OBJECT_DATABASE ||
					((RenameStmt *) statement)->renameType == OBJECT_ROLE
				? IU_WAKE(IU_LAUNCHER)
				: 0;
		case T_TransactionStmt:
			return ((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED ? IU_WAKE_ALL : 0;
		default:
			return 0;
	}
}

static void
wake_after_utility(PlannedStmt *planned, const char *query, bool read_only_tree,
				   ProcessUtilityContext context, ParamListInfo parameters,
				   QueryEnvironment *environment, DestReceiver *receiver,
				   QueryCompletion *completion)
{
	iu_wake_at_commit(roles_of_command(planned->utilityStmt));
	if (previous_utility_hook)
		previous_utility_hook(planned, query, read_only_tree, context, parameters,
							  environment, receiver, completion);
	else
		standard_ProcessUtility(planned, query, read_only_tree, context, parameters,
								environment, receiver, completion);
}

void
iu_wake_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterResourceReleaseCallback(at_resource_release, NULL);
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = wake_after_utility;
}

void
iu_wake_at_commit(int roles)
{
	roles_at_commit |= roles;
}

/* iu_core.wake(): every worker of this database, when the transaction commits. */
Datum
iu_wake(PG_FUNCTION_ARGS)
{
	iu_wake_at_commit(IU_WAKE_ALL);
	PG_RETURN_VOID();
}

/* Statement trigger on what the senders read: outbox, routes, retries. */
Datum
iu_wake_sender(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", "iu_core.wake_sender")));
	iu_wake_at_commit(IU_WAKE_DELIVERY);
	PG_RETURN_POINTER(NULL);
}
