/*-------------------------------------------------------------------------
 *
 * commands.c
 *	  What the library does when somebody runs a utility command: its one hook
 *	  on them.
 *
 * A command that gives a membership in a role of iu_core is judged first
 * (roles.c). A command that needs a database without sessions gets the workers
 * out of it first (release.c). A command that creates or changes databases or
 * roles wakes the launcher when it commits, so that what the launcher waits for,
 * such as a missing role, is seen at once (wake.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/commands.h"
#include "core/compat.h"
#include "core/release.h"
#include "core/roles.h"
#include "core/slots.h"
#include "core/wake.h"
#include "tcop/utility.h"

static ProcessUtility_hook_type previous_hook = NULL;

/* The roles of workers that the statement concerns once it is committed, as bits of IU_WAKE. */
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
before_command(PlannedStmt *planned, const char *query, bool read_only_tree,
			   ProcessUtilityContext context, ParamListInfo parameters,
			   QueryEnvironment *environment, DestReceiver *receiver,
			   QueryCompletion *completion)
{
	Node	   *statement = planned->utilityStmt;

	iu_guard_membership(statement);
	/* Without shared memory there are no workers. */
	if (iu_shared != NULL)
		iu_release_before(statement, IsInTransactionBlock(context == PROCESS_UTILITY_TOPLEVEL));
	iu_wake_at_commit(roles_of_command(statement));
	if (previous_hook)
		previous_hook(planned, query, read_only_tree, context, parameters,
					  environment, receiver, completion);
	else
		standard_ProcessUtility(planned, query, read_only_tree, context, parameters,
								environment, receiver, completion);
}

/* Called once in each process that loads the library, or in the postmaster for all. */
void
iu_commands_init(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = before_command;
}
