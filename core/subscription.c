/*-------------------------------------------------------------------------
 *
 * subscription.c
 *	  What a subscription brings into governed tables.
 *
 * A row of a governed table is a fact of the database that wrote it: who opened a
 * gate there, how far a route came there. Another database that subscribes to all
 * tables of it gets those rows as well, and whatever its own rows and triggers
 * refuse would stop the subscription, with the application's tables in it. So they
 * are left out before anything else looks at them. Events are the exception: they
 * are taken as history, see fn_event_type_validate. No table is emptied because it
 * was emptied there.
 *
 * What brings rows is told by the process, or by the replication origin that it
 * has set, as other replication systems than PostgreSQL's own do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "core/compat.h"
#include "core/subscription.h"
#include "fmgr.h"
#include "postmaster/bgworker.h"
#include "replication/logicalworker.h"
#include "replication/origin.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(iu_is_replicated);
PG_FUNCTION_INFO_V1(iu_leave_out_replicated);
PG_FUNCTION_INFO_V1(iu_keep_from_truncation);

/* Whether what this process writes comes from another database. */
bool
iu_comes_from_elsewhere(void)
{
	return SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA &&
		(IsLogicalWorker() || replorigin_session_origin != InvalidRepOriginId);
}

/* iu_core.is_replicated() */
Datum
iu_is_replicated(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(iu_comes_from_elsewhere());
}

/* Row trigger iu_core.leave_out_replicated(), before INSERT, UPDATE and DELETE: nothing becomes of such a row. */
Datum
iu_leave_out_replicated(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", "iu_core.leave_out_replicated"),
				 errdetail("It is one for each row, before the event."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_trigger_only")));
	if (iu_comes_from_elsewhere())
		return PointerGetDatum(NULL);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple);
}

/* After the TRUNCATE. A trigger of another table that writes into this one before that gets an error. */
static void
take_for_plain(Relation table)
{
	table->rd_rel->relkind = RELKIND_RELATION;
	if (table->rd_newRelfilelocatorSubid != InvalidSubTransactionId)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("table \"%s\" would have been emptied by what comes from another database",
						RelationGetRelationName(table)),
				 errdetail("The description of table %s was read again in the middle of a TRUNCATE.",
						   RelationGetRelationName(table)),
				 errhint("The subscription repeats the transaction by itself."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_truncated_elsewhere")));
}

/*
 * Statement trigger iu_core.keep_from_truncation(), the last one before TRUNCATE
 * and the first one after it: a table that another database empties keeps its
 * rows here.
 *
 * A trigger cannot skip a TRUNCATE, and an error would stop the subscription for
 * good. What the server skips is a partitioned table, which has no rows of its
 * own. So, between the two, this process alone takes the table for one. An error
 * in between ends a process that applies changes, and with it what it took the
 * table for; a session, which has set an origin by itself, is refused instead.
 *
 * What makes this process read the table's description again in between makes it
 * a plain table too early, as when somebody creates a publication just then. That
 * is found after the TRUNCATE, which then is undone, and repeated by the process
 * that applies changes next.
 */
Datum
iu_keep_from_truncation(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(data->tg_event) ||
		!TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", "iu_core.keep_from_truncation"),
				 errdetail("It is one for each statement, before and after TRUNCATE."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_trigger_only")));
	if (!iu_comes_from_elsewhere())
		return PointerGetDatum(NULL);
	if (MyBgworkerEntry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table \"%s\" is not emptied by what comes from another database",
						RelationGetRelationName(data->tg_relation)),
				 errdetail("What it holds are facts of this one."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_append_only")));
	if (TRIGGER_FIRED_BEFORE(data->tg_event))
		data->tg_relation->rd_rel->relkind = RELKIND_PARTITIONED_TABLE;
	else
		take_for_plain(data->tg_relation);
	return PointerGetDatum(NULL);
}
