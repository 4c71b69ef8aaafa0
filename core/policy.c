/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  The wall between those who ask and what runs with rights: finds the
 *	  functions of schema iu that the library calls, and answers the functions
 *	  of schema public whether who calls them may.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "core/caller.h"
#include "core/compat.h"
#include "core/policy.h"
#include "core/rights.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(iu_require_role);
PG_FUNCTION_INFO_V1(iu_may);
PG_FUNCTION_INFO_V1(iu_caller_may);

/* Looked up without asking what the current role may see: the library calls it. */
static Oid
find_function(const char *schema_name, const char *name, int argument_count, const Oid *argument_types)
{
	Oid			schema = get_namespace_oid(schema_name, true);
	oidvector  *arguments = buildoidvector(argument_types, argument_count);
	Oid			function;

	if (!OidIsValid(schema))
		return InvalidOid;
	function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
							   PointerGetDatum(arguments), ObjectIdGetDatum(schema));
	pfree(arguments);
	return function;
}

/*
 * The function of that schema, name and exact argument types; InvalidOid where
 * there is none. Raises where it belongs to a stranger.
 */
Oid
iu_policy_function_in(const char *schema, const char *name, int argument_count, const Oid *argument_types)
{
	Oid			function = find_function(schema, name, argument_count, argument_types);
	HeapTuple	tuple;
	Oid			owner;

	if (!OidIsValid(function))
		return InvalidOid;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	if (owner != get_role_oid(IU_OWNER_ROLE, true) && !superuser_arg(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function %s.%s() belongs to \"%s\" and is not called", schema, name,
						GetUserNameFromId(owner, false)),
				 errdetail("Function: %s.%s; owner: %s.", schema, name, GetUserNameFromId(owner, false)),
				 errhint("It must belong to %s: a superuser gives it back, or drops it if no migration made it.",
						 IU_OWNER_ROLE),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_function_owner")));
	return function;
}

/* The same of schema iu. */
Oid
iu_policy_function(const char *name, int argument_count, const Oid *argument_types)
{
	return iu_policy_function_in(IU_POLICY_SCHEMA, name, argument_count, argument_types);
}

/* ---- Who may call ---- */

static bool
has_rights_of(Oid caller, const char *role)
{
	Oid			role_id = get_role_oid(role, true);

	return OidIsValid(role_id) && has_privs_of_role(caller, role_id);
}

static bool
may_call_anything(Oid caller)
{
	return superuser_arg(caller) || caller == get_role_oid(IU_OWNER_ROLE, true);
}

static void
refuse_caller(Oid caller, const char *roles)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" may not call this function", GetUserNameFromId(caller, true)),
			 errdetail("It is for members of %s.", roles),
			 errhint("A superuser makes somebody a member with GRANT."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_role_required")));
}

/* The same as iu_core.require_role(), for functions of the library and one role. */
void
iu_require_member(const char *role)
{
	Oid			caller = GetUserId();

	if (!may_call_anything(caller) && !has_rights_of(caller, role))
		refuse_caller(caller, role);
}

static char *
name_roles(ArrayType *array)
{
	StringInfoData names;
	Datum	   *roles;
	bool	   *nulls;
	int			count;
	int			i;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &roles, &nulls, &count);
	initStringInfo(&names);
	for (i = 0; i < count; i++)
	{
		if (i > 0)
			appendStringInfoString(&names, i < count - 1 ? ", " : " or ");
		appendStringInfoString(&names, nulls[i] ? "NULL" : TextDatumGetCString(roles[i]));
	}
	return names.data;
}

/* Whether that role has the rights of one of these, is iu_core_owner or a superuser. Nobody has none. */
static bool
may(Oid who, ArrayType *array)
{
	Datum	   *roles;
	bool	   *nulls;
	int			count;
	int			i;

	if (!OidIsValid(who))
		return false;
	if (may_call_anything(who))
		return true;
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &roles, &nulls, &count);
	for (i = 0; i < count; i++)
		if (!nulls[i] && has_rights_of(who, TextDatumGetCString(roles[i])))
			return true;
	return false;
}

/*
 * iu_core.require_role(roles text[]): raises unless the current role has the
 * rights of one of them, is iu_core_owner or a superuser. EXECUTE alone does
 * not do: a restore without privileges gives it to everybody.
 */
Datum
iu_require_role(PG_FUNCTION_ARGS)
{
	Oid			caller = GetUserId();
	ArrayType  *roles = PG_GETARG_ARRAYTYPE_P(0);

	if (!may(caller, roles))
		refuse_caller(caller, name_roles(roles));
	PG_RETURN_BOOL(true);
}

/* iu_core.may(roles text[]): the same question about the current role, which raises nothing. */
Datum
iu_may(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(may(GetUserId(), PG_GETARG_ARRAYTYPE_P(0)));
}

/* iu_core.caller_may(roles text[]): the same question about who acts (caller.h). */
Datum
iu_caller_may(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(may(iu_caller(), PG_GETARG_ARRAYTYPE_P(0)));
}
