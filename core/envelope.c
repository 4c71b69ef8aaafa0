/*-------------------------------------------------------------------------
 *
 * envelope.c
 *	  Refreshes the three-axis envelope after each statement that writes units,
 *	  tags or instances of templates, while its gate is open.
 *
 * A trigger in C, since a closed gate must cost such a statement next to nothing.
 * Open, it calls a function of the migrations, in a subtransaction: whatever that
 * raises is undone and noted, and the statement goes on. Two things bound how long
 * the statement can be kept: locks are waited for less than a deadlock is looked
 * for, so that no deadlock that the refresh is part of ever ends the statement; and
 * the whole has a deadline, by a clock that nobody sets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "core/caller.h"
#include "core/compat.h"
#include "core/deadline.h"
#include "core/gate.h"
#include "core/policy.h"
#include "core/rights.h"
#include "core/settings.h"
#include "core/wake.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(iu_envelope_auto_refresh);
PG_FUNCTION_INFO_V1(iu_envelope_auto_refresh_lineage);
PG_FUNCTION_INFO_V1(iu_refresh_envelope);

#define GATE "iu_core.three_axis_auto_refresh_enabled"
#define REFRESH "fn_iu_three_axis_envelope_refresh_if_stale"
#define TRIGGER_ACTOR "iu_lifecycle_trigger"
#define LINEAGE_ACTOR "iu_auto_instantiate_trigger"
#define MAX_WAIT_MS 200

/* ---- The call ---- */

static Oid
find_refresh(void)
{
	static const Oid types[3] = {TEXTOID, BOOLOID, BOOLOID};
	Oid			function = iu_policy_function_in("public", REFRESH, lengthof(types), types);

	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function public." REFRESH "(text, boolean, boolean) does not exist"),
				 errdetail("Migration 023 makes it."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_envelope_refresh_missing")));
	return function;
}

/* It returns a set, of which nothing is wanted but that it was made. */
static void
call_refresh(Oid function, const char *actor)
{
	LOCAL_FCINFO(fcinfo, 3);
	FmgrInfo	info;
	ReturnSetInfo set = {0};

	fmgr_info(function, &info);
	set.type = T_ReturnSetInfo;
	set.econtext = CreateStandaloneExprContext();
	set.allowedModes = SFRM_Materialize | SFRM_Materialize_Preferred;
	set.returnMode = SFRM_ValuePerCall;
	(void) get_func_result_type(function, NULL, &set.expectedDesc);
	InitFunctionCallInfoData(*fcinfo, &info, 3, InvalidOid, NULL, (Node *) &set);
	fcinfo->args[0].value = CStringGetTextDatum(actor);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = BoolGetDatum(false);
	fcinfo->args[1].isnull = false;
	fcinfo->args[2].value = BoolGetDatum(false);
	fcinfo->args[2].isnull = false;
	(void) FunctionCallInvoke(fcinfo);
	if (set.setResult != NULL)
		tuplestore_end(set.setResult);
	FreeExprContext(set.econtext, true);
}

/* With the rights of iu_core_owner, and in its name. An error puts back as whom the server acts. */
static void
refresh_as_owner(const char *actor)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "iu_core envelope", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(memory);
	Oid			owner = get_role_oid(IU_OWNER_ROLE, false);
	Oid			acted = iu_caller_becomes(owner);
	IuIdentity	caller = iu_become(owner);

	PG_TRY();
	{
		call_refresh(find_refresh(), actor);
	}
	PG_FINALLY();
	{
		(void) iu_caller_becomes(acted);
	}
	PG_END_TRY();
	iu_become_again(caller);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(memory);
}

/* ---- Apart from the statement that is to go on ---- */

/* Until the end of the subtransaction, or AtEOXact_GUC. The caller's own is kept where it is shorter. */
static void
wait_briefly(void)
{
	int			longest = Min(MAX_WAIT_MS, Max(DeadlockTimeout / 2, 1));

	if (LockTimeout > 0 && LockTimeout <= longest)
		return;
	(void) set_config_option("lock_timeout", psprintf("%d", longest), PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* The time of what is done apart. */
static IuDeadline envelope_time = {.clock = CLOCK_MONOTONIC};

/* At most the setting, and half of what the statement has left. */
static int
time_apart(void)
{
	int64		left = INT64_MAX;

	if (get_timeout_active(STATEMENT_TIMEOUT))
		left = Max(get_timeout_finish_time(STATEMENT_TIMEOUT) - GetCurrentTimestamp(), 0) / 1000;
	return (int) Min(left / 2, iu_envelope_timeout);
}

/*
 * Does it in a subtransaction, by a deadline. The error that ended it, or NULL.
 * *cancelled: whether somebody else cancelled the statement meanwhile.
 */
static ErrorData *
apart(void (*work) (void *), void *argument, bool *cancelled)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;
	volatile bool late = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	PG_TRY();
	{
		int			level = NewGUCNestLevel();

		wait_briefly();
		iu_deadline_begin(&envelope_time, time_apart());
		work(argument);
		(void) iu_deadline_end(&envelope_time);
		AtEOXact_GUC(false, level);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		late = envelope_time.running && iu_deadline_end(&envelope_time);
		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
	*cancelled = error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED && !late;
	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED && late)
		error->message = "canceled, since its time was up";
	return error;
}

static void
refresh(void *argument)
{
	refresh_as_owner((const char *) argument);
}

/* What goes into iu_three_axis_envelope_trigger_error_log. */
typedef struct Failure
{
	const TriggerData *trigger;
	const ErrorData *error;
} Failure;

static const char *
operation_of(TriggerEvent event)
{
	if (TRIGGER_FIRED_BY_INSERT(event))
		return "INSERT";
	if (TRIGGER_FIRED_BY_UPDATE(event))
		return "UPDATE";
	return TRIGGER_FIRED_BY_DELETE(event) ? "DELETE" : "TRUNCATE";
}

static void
note_failure(void *argument)
{
	static const Oid types[5] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	const Failure *failure = argument;
	IuIdentity	caller = iu_become(get_role_oid(IU_OWNER_ROLE, false));
	Datum		values[5];

	values[0] = CStringGetTextDatum(failure->trigger->tg_trigger->tgname);
	values[1] = CStringGetTextDatum(RelationGetRelationName(failure->trigger->tg_relation));
	values[2] = CStringGetTextDatum(operation_of(failure->trigger->tg_event));
	values[3] = CStringGetTextDatum(unpack_sql_state(failure->error->sqlerrcode));
	values[4] = CStringGetTextDatum(failure->error->message ? failure->error->message : "");
	SPI_connect();
	SPI_execute_with_args("INSERT INTO public.iu_three_axis_envelope_trigger_error_log"
						  " (trigger_name, host_table, tg_op, sqlstate, sqlerrm) VALUES ($1, $2, $3, $4, $5)",
						  lengthof(types), (Oid *) types, values, NULL, false, 0);
	SPI_finish();
	iu_become_again(caller);
}

/* Both in the server log: the refresh failed, and so did noting it. */
static void
log_failure(const TriggerData *trigger, const ErrorData *error, const ErrorData *second)
{
	ereport(LOG,
			(errmsg("trigger \"%s\" could not refresh the envelope: %s", trigger->tg_trigger->tgname,
					error->message ? error->message : ""),
			 errdetail("Nor could that be noted in iu_three_axis_envelope_trigger_error_log: %s",
					   second->message ? second->message : "")));
}

/* What both triggers do. function: the name of the one that is called; actor: in whose name the log has it. */
static void
refresh_after_statement(FunctionCallInfo fcinfo, const char *function, const char *actor)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Failure		failure;
	ErrorData  *error;
	ErrorData  *second;
	bool		cancelled;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger after a statement", function),
				 errdetail("Function: %s.", function),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_trigger_only")));
	if (!iu_gate_is_effectively_open(GATE))
		return;
	error = apart(refresh, (void *) actor, &cancelled);
	if (error == NULL)
		return;
	if (cancelled)
		ReThrowError(error);
	/* The marks stay, and the runner comes for them. */
	iu_wake_at_commit(IU_WAKE(IU_RUNNER));
	failure.trigger = trigger;
	failure.error = error;
	second = apart(note_failure, &failure, &cancelled);
	if (cancelled)
		ReThrowError(second);
	if (second != NULL)
		log_failure(trigger, error, second);
}

/* The statement trigger of migration 024. */
Datum
iu_envelope_auto_refresh(PG_FUNCTION_ARGS)
{
	refresh_after_statement(fcinfo, "iu_envelope_auto_refresh", TRIGGER_ACTOR);
	PG_RETURN_POINTER(NULL);
}

/* The statement trigger of migration 036. */
Datum
iu_envelope_auto_refresh_lineage(PG_FUNCTION_ARGS)
{
	refresh_after_statement(fcinfo, "iu_envelope_auto_refresh_lineage", LINEAGE_ACTOR);
	PG_RETURN_POINTER(NULL);
}

/* iu_core.refresh_envelope(actor): the same call, for the runner's chore; what it raises goes on to the caller. */
Datum
iu_refresh_envelope(PG_FUNCTION_ARGS)
{
	iu_require_member(IU_OWNER_ROLE);
	refresh_as_owner(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}
