/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  Finds the functions that the migrations bring and the library calls, with
 *	  more rights than the one who could have written others in their place.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "core/compat.h"
#include "core/policy.h"
#include "core/rights.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/syscache.h"

Oid
iu_policy_function(const char *name, int argument_count, const Oid *argument_types)
{
	List	   *qualified = list_make2(makeString("public"), makeString(pstrdup(name)));
	Oid			function = LookupFuncName(qualified, argument_count, argument_types, true);
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
				 errmsg("function public.%s() belongs to \"%s\" and is not called", name, GetUserNameFromId(owner, false)),
				 errhint("It must belong to %s. Drop it if no migration made it.", IU_OWNER_ROLE)));
	return function;
}
