/*-------------------------------------------------------------------------
 *
 * owner_call.c
 *	  iu_core.call_as_owner(): calls a function of somebody else with the rights
 *	  of that one, and leaves nothing behind that would run with other rights.
 *
 * The functions to which routes lead are other people's. One that is replaced
 * between the look at it and the call would run with the rights of whoever
 * calls, were it not SECURITY DEFINER any more. What it defers (triggers until
 * the end of the transaction, the reading of a cursor WITH HOLD) would run with
 * the rights of whoever ends the transaction. So the caller becomes the owner of
 * the function first, fires what was deferred while it still is, and puts away
 * what a later statement of somebody else could use or suffer from: cursors,
 * prepared statements, settings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/prepare.h"
#include "core/caller.h"
#include "core/compat.h"
#include "core/policy.h"
#include "core/rights.h"
#include "core/script.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/portal.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(iu_call_as_owner);

/* Its owner. Raises unless it takes (uuid, jsonb), returns one value, and belongs to no superuser. */
static Oid
owner_of_callable(Oid function)
{
	HeapTuple	row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	Oid			owner;
	bool		fits;

	if (!HeapTupleIsValid(row))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function),
				 errdetail("OID: %u.", function),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_callable_missing")));
	form = (Form_pg_proc) GETSTRUCT(row);
	owner = form->proowner;
	fits = form->prokind == PROKIND_FUNCTION && !form->proretset && form->pronargs == 2 &&
		form->proargtypes.values[0] == UUIDOID && form->proargtypes.values[1] == JSONBOID;
	ReleaseSysCache(row);
	if (!fits || superuser_arg(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function %s is not called", format_procedure(function)),
				 errdetail("It must take (uuid, jsonb), return one value "
						   "and belong to a role that is not a superuser."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_callable_function")));
	return owner;
}

static void
call(Oid function, NullableDatum event, NullableDatum payload)
{
	LOCAL_FCINFO(fcinfo, 2);
	FmgrInfo	info;

	fmgr_info(function, &info);
	if (info.fn_strict && (event.isnull || payload.isnull))
		return;
	InitFunctionCallInfoData(*fcinfo, &info, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0] = event;
	fcinfo->args[1] = payload;
	(void) FunctionCallInvoke(fcinfo);
}

/* After a call that ended well. What one that failed did is undone with its (sub)transaction, but for PREPARE. */
static void
put_away(int settings)
{
	PortalHashTableDeleteAll();
	DropAllPreparedStatements();
	AtEOXact_GUC(false, settings);
}

/*
 * Calls it as its owner, and then fires as that owner what it deferred. The
 * restricted operation, in which nothing may be deferred, keeps a deferred
 * trigger from deferring another one.
 */
static void
call_and_settle(Oid function, Oid owner, int security, NullableDatum event, NullableDatum payload)
{
	Oid			before = iu_caller_becomes(owner);

	PG_TRY();
	{
		call(function, event, payload);
		SetUserIdAndSecContext(owner, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
		iu_check_constraints_now();
	}
	PG_FINALLY();
	{
		(void) iu_caller_becomes(before);
	}
	PG_END_TRY();
}

/*
 * iu_core.call_as_owner(function, event, payload). An error puts back as whom
 * the server acts, with the (sub)transaction that it ends.
 */
Datum
iu_call_as_owner(PG_FUNCTION_ARGS)
{
	NullableDatum event = fcinfo->args[1];
	NullableDatum payload = fcinfo->args[2];
	Oid			owner;
	IuIdentity	caller;
	int			settings;

	iu_require_member(IU_OWNER_ROLE);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("iu_core.call_as_owner() needs a function"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_callable_null")));
	owner = owner_of_callable(PG_GETARG_OID(0));
	caller = iu_become(owner);
	settings = NewGUCNestLevel();
	call_and_settle(PG_GETARG_OID(0), owner, caller.security, event, payload);
	put_away(settings);
	iu_become_again(caller);
	PG_RETURN_VOID();
}
