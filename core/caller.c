/*-------------------------------------------------------------------------
 *
 * caller.c
 *	  Who acts: the role in whose name a function with rights was called.
 *
 * Functions of schema iu run with the rights of iu_core_owner, so the current
 * role does not tell who called them. The role of the session does: the one of
 * SET ROLE, or the one that logged in where no role is set. Neither SECURITY
 * DEFINER nor anything else inside a function changes it, and SET ROLE is refused
 * there. Behind a pooler one login sets the role of many people, and what such
 * a role may do is what counts; who logged in is recorded beside it.
 *
 * Where the server runs somebody's function for its own ends (an index's
 * expression in ANALYZE, the query of a materialized view, a table's trigger in
 * logical replication) the session's role is not the one that acts, and the one
 * that acts gave no order. Then nobody does. A function that a route calls acts
 * in the name of its owner (owner_call.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/caller.h"
#include "core/compat.h"
#include "fmgr.h"
#include "miscadmin.h"

PG_FUNCTION_INFO_V1(iu_caller_oid);
PG_FUNCTION_INFO_V1(iu_login_oid);

static Oid	instead = InvalidOid;	/* who acts, whatever the session says */

Oid
iu_caller(void)
{
	if (OidIsValid(instead))
		return instead;
	return InSecurityRestrictedOperation() ? InvalidOid : GetOuterUserId();
}

Oid
iu_caller_required(void)
{
	Oid			caller = iu_caller();

	if (!OidIsValid(caller))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("nobody acts: the server runs this for its own ends"),
				 errdetail("In ANALYZE, in an index, in a materialized view and in replication nobody is there to "
						   "have a right."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_caller_unknown")));
	return caller;
}

Oid
iu_caller_becomes(Oid role)
{
	Oid			before = instead;

	instead = role;
	return before;
}

/* iu_core.caller(). */
Datum
iu_caller_oid(PG_FUNCTION_ARGS)
{
	Oid			caller = iu_caller();

	if (!OidIsValid(caller))
		PG_RETURN_NULL();
	PG_RETURN_OID(caller);
}

/* iu_core.login(). */
Datum
iu_login_oid(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(GetSessionUserId());
}
