/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  Latches at commit. What a transaction changed is visible to others only
 *	  after it committed, so the workers are woken then, not by the statement.
 *
 * Visible is not enough. What a worker has cached (a function that is not
 * there, a closed gate) is invalidated a little later in the commit; a worker
 * woken before that would look, see nothing and sleep again. So the transaction
 * callback only notes which roles are to be woken. They are woken when the locks
 * of the transaction are released, which comes after the invalidations.
 *
 * A prepared transaction cannot keep such a note, so COMMIT PREPARED wakes every
 * worker that might be concerned (see commands.c).
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
#include "utils/builtins.h"
#include "utils/resowner.h"

PG_FUNCTION_INFO_V1(iu_wake);
PG_FUNCTION_INFO_V1(iu_wake_sender);

/* Roles of workers, as bits of IU_WAKE. */
typedef struct Wakes
{
	int			at_commit;		/* asked for by the running transaction */
	int			committed;		/* to be woken at the end of the commit that is under way */
} Wakes;

static Wakes wakes;

static void
note_commit(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			wakes.committed = wakes.at_commit;
			wakes.at_commit = 0;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			wakes.at_commit = 0;
			break;
		default:
			break;
	}
}

/* Runs in the middle of the commit, so it must not raise. */
static void
wake_after_commit(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	int			roles = wakes.committed;

	if (roles == 0 || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_commit || !is_top_level)
		return;
	wakes.committed = 0;
	iu_slots_wake(roles, MyDatabaseId);
}

/* Called once in each process that loads the library, or in the postmaster for all. */
void
iu_wake_init(void)
{
	RegisterXactCallback(note_commit, NULL);
	RegisterResourceReleaseCallback(wake_after_commit, NULL);
}

/* Wakes the workers of these roles (bits of IU_WAKE) in this database, if this transaction commits. */
void
iu_wake_at_commit(int roles)
{
	wakes.at_commit |= roles;
}

/* iu_core.wake(): every worker of this database, when the transaction commits. */
Datum
iu_wake(PG_FUNCTION_ARGS)
{
	iu_wake_at_commit(IU_WAKE_ALL);
	PG_RETURN_VOID();
}

/* Statement trigger on what the senders read: events that are inserted, routes that are updated. */
Datum
iu_wake_sender(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", "iu_core.wake_sender"),
				 errdetail("Function: %s.", "iu_core.wake_sender"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_trigger_only")));
	iu_wake_at_commit(TRIGGER_FIRED_BY_INSERT(((TriggerData *) fcinfo->context)->tg_event)
						  ? IU_WAKE_NEWS
						  : IU_WAKE_DELIVERY);
	PG_RETURN_POINTER(NULL);
}
