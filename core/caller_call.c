/*-------------------------------------------------------------------------
 *
 * caller_call.c
 *	  iu_core.call_for_caller(): runs a statement with the rights of whoever
 *	  acts, for somebody with more rights.
 *
 * A function of iu_core that calls another one in somebody's name, and writes
 * down what came of it, has to write with rights that he does not have. But what
 * it calls must have his rights and no others: otherwise it would be a way around
 * what each function asks of who calls it. So for the time of the statement the
 * server acts as the one whom caller.h names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/caller.h"
#include "core/compat.h"
#include "core/policy.h"
#include "core/rights.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(iu_call_for_caller);

/* Runs it with $1. Raises unless it is a SELECT of one row with one jsonb, which is returned in the caller's memory. */
static Datum
one_jsonb(const char *statement, Datum argument, bool *null)
{
	Oid			types[] = {JSONBOID};
	Datum		values[] = {argument};
	Datum		value;

	SPI_connect();
	if (SPI_execute_with_args(statement, 1, types, values, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1 || SPI_tuptable->tupdesc->natts != 1 || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != JSONBOID)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("what is called for somebody is not a SELECT of one row with one jsonb"),
				 errdetail("Statement: %s.", statement),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_caller_statement")));
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, null);
	if (!*null)
		value = SPI_datumTransfer(value, false, -1);
	SPI_finish();
	return value;
}

/*
 * iu_core.call_for_caller(statement, argument). An error puts back as whom the
 * server acts, with the (sub)transaction that it ends.
 */
Datum
iu_call_for_caller(PG_FUNCTION_ARGS)
{
	char	   *statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
	IuIdentity	before;
	Datum		value;
	bool		null;

	iu_require_member(IU_OWNER_ROLE);
	before = iu_become(iu_caller_required());
	value = one_jsonb(statement, PG_GETARG_DATUM(1), &null);
	iu_become_again(before);
	if (null)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}
