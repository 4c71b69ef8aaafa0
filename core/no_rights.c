/*-------------------------------------------------------------------------
 *
 * no_rights.c
 *	  iu_core.read_with_no_rights() and iu_core.read_for_caller(): run a query
 *	  over views and foreign tables of other people, for somebody with many
 *	  rights, so that nothing in it has any.
 *
 * What a view reads it reads with its owner's rights. But the functions in it
 * run with the rights of whoever asks, and so does what no one sees: casts and
 * operators of somebody's type, the CHECK of a domain, a generated column, what
 * the planner evaluates beforehand. So the query is read, planned and run as a
 * role that holds nothing, and only whether its relations may be read is
 * decided by the rights of the caller, as if the query were a view of his. The
 * second function decides that by the rights of the one who acts: what it finds
 * was read with what that one may read, and cannot have been made up by him.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "core/caller.h"
#include "core/compat.h"
#include "core/policy.h"
#include "core/rights.h"
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/datum.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(iu_read_with_no_rights);
PG_FUNCTION_INFO_V1(iu_read_for_caller);

/* Whether the role has an attribute, or is a member of another role. */
static bool
holds_something(Oid role)
{
	HeapTuple	row = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	CatCList   *memberships;
	bool		holds;

	if (!HeapTupleIsValid(row))
		return true;
	holds = ((Form_pg_authid) GETSTRUCT(row))->rolsuper || ((Form_pg_authid) GETSTRUCT(row))->rolcreaterole ||
		((Form_pg_authid) GETSTRUCT(row))->rolcreatedb || ((Form_pg_authid) GETSTRUCT(row))->rolbypassrls ||
		((Form_pg_authid) GETSTRUCT(row))->rolreplication || ((Form_pg_authid) GETSTRUCT(row))->rolcanlogin;
	ReleaseSysCache(row);
	memberships = SearchSysCacheList1(AUTHMEMMEMROLE, ObjectIdGetDatum(role));
	holds |= memberships->n_members > 0;
	ReleaseSysCacheList(memberships);
	return holds;
}

/* The role that holds nothing. Raises where there is none, or where it holds something. */
static Oid
role_without_rights(void)
{
	Oid			role = get_role_oid(IU_CHECK_ROLE, true);

	if (!OidIsValid(role) || holds_something(role))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg(OidIsValid(role) ? "role \"%s\" holds rights" : "role \"%s\" does not exist", IU_CHECK_ROLE),
				 errdetail("Views of invariants and surfaces are read as this role, which cannot log in, is a member "
						   "of no role and has no attribute, so that nothing in them runs with rights."),
				 errhint("Make it so: ALTER ROLE %s NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS "
						 "NOLOGIN, and revoke what was granted to it; or CREATE ROLE %s.",
						 IU_CHECK_ROLE,
						 IU_CHECK_ROLE),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_check_role")));
	return role;
}

/* The query, whose relations are checked by the rights of the current role. Its names are looked up as that role. */
static Query *
analyze(const char *text)
{
	List	   *statements = pg_parse_query(text);
	Query	   *query = NULL;

	if (list_length(statements) == 1)
		query = parse_analyze_fixedparams(linitial_node(RawStmt, statements), text, NULL, 0, NULL);
	if (query == NULL || query->commandType != CMD_SELECT || query->hasModifyingCTE || query->rowMarks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("what is read with no rights is not one SELECT"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_check_query")));
	setRuleCheckAsUser((Node *) query, GetUserId());
	return query;
}

/* Runs a plan. Its rows go into the store. */
static void
run(PlannedStmt *plan, const char *text, Tuplestorestate *rows)
{
	DestReceiver *receiver = CreateDestReceiver(DestTuplestore);
	QueryDesc  *query;

	SetTuplestoreDestReceiverParams(receiver, rows, CurrentMemoryContext, false, NULL, NULL);
	query = CreateQueryDesc(plan, text, GetActiveSnapshot(), InvalidSnapshot, receiver, NULL, NULL, 0);
	ExecutorStart(query, 0);
	iu_executor_run(query);
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
	receiver->rDestroy(receiver);
}

/* The one value of the first row, in the current memory context; null: there is no row, or it is NULL. */
static Datum
first_value(Tuplestorestate *rows, TupleDesc desc, bool *null)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	Datum		value = (Datum) 0;

	*null = true;
	if (tuplestore_gettupleslot(rows, true, false, slot))
		value = slot_getattr(slot, 1, null);
	if (!*null)
		value = datumCopy(value, TupleDescAttr(desc, 0)->attbyval, TupleDescAttr(desc, 0)->attlen);
	ExecDropSingleTupleTableSlot(slot);
	return value;
}

static Datum
read_query(Query *query, const char *text, bool *null)
{
	List	   *rewritten = QueryRewrite(query);
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	TupleDesc	desc = ExecCleanTypeFromTL(linitial_node(Query, rewritten)->targetList);
	Datum		value;

	if (desc->natts != 1 || TupleDescAttr(desc, 0)->atttypid != JSONBOID)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("what is read with no rights does not return one jsonb"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_check_query")));
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	run(pg_plan_query(linitial_node(Query, rewritten), text, 0, NULL), text, rows);
	PopActiveSnapshot();
	value = first_value(rows, desc, null);
	tuplestore_end(rows);
	return value;
}

/*
 * The first row of a query that returns one jsonb; the reader's rights decide
 * about its relations. In the restricted operation nothing can be deferred,
 * prepared or left behind that would run later, with other rights. An error puts
 * back who acts, with the (sub)transaction that it ends.
 */
static Datum
read_for(Oid reader, FunctionCallInfo fcinfo)
{
	char	   *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Query	   *query;
	IuIdentity	caller = iu_become(reader);
	Datum		value;
	bool		null;

	query = analyze(sql);
	(void) iu_become(role_without_rights());
	SetUserIdAndSecContext(GetUserId(), caller.security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	value = read_query(query, sql, &null);
	iu_become_again(caller);
	if (null)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

/* iu_core.read_with_no_rights(query): the rights of the current role decide. */
Datum
iu_read_with_no_rights(PG_FUNCTION_ARGS)
{
	iu_require_member(IU_OWNER_ROLE);
	return read_for(GetUserId(), fcinfo);
}

/* iu_core.read_for_caller(query): those of whoever acts do, within functions with more rights too. */
Datum
iu_read_for_caller(PG_FUNCTION_ARGS)
{
	iu_require_member(IU_OWNER_ROLE);
	return read_for(iu_caller_required(), fcinfo);
}
