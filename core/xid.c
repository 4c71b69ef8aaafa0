/*-------------------------------------------------------------------------
 *
 * xid.c
 *	  Tells whether a row was written by the current transaction.
 *
 * SQL compares a row's xmin with the number of the top transaction and misses
 * what was written inside a savepoint or a block that catches errors: such rows
 * bear the number of a subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "core/compat.h"
#include "fmgr.h"

PG_FUNCTION_INFO_V1(iu_xid_is_mine);
PG_FUNCTION_INFO_V1(iu_current_xid);

/*
 * iu_core.xid_is_mine(xid): whether it is the number of the current transaction
 * or of one of its subtransactions that was not rolled back.
 */
Datum
iu_xid_is_mine(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(TransactionIdIsCurrentTransactionId(PG_GETARG_TRANSACTIONID(0)));
}

/* iu_core.current_xid(): the (sub)transaction by which what is written now is written. */
Datum
iu_current_xid(PG_FUNCTION_ARGS)
{
	PG_RETURN_TRANSACTIONID(GetCurrentTransactionId());
}
