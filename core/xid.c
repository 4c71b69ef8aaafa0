/*-------------------------------------------------------------------------
 *
 * xid.c
 *	  Tells whether a row was written by the current transaction, and in which
 *	  transaction a savepoint is.
 *
 * SQL compares a row's xmin with the number of the top transaction and misses
 * what was written inside a savepoint or a block that catches errors: such rows
 * bear the number of a subtransaction. And a row that a savepoint locked bears a
 * number that no lock of the server names any more once the savepoint is over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/xact.h"
#include "core/compat.h"
#include "fmgr.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(iu_xid_is_mine);
PG_FUNCTION_INFO_V1(iu_current_xid);
PG_FUNCTION_INFO_V1(iu_top_transaction);

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

/*
 * iu_core.top_transaction(xid): of a subtransaction the transaction that it is
 * in, while that is in progress; every other number as it is.
 */
Datum
iu_top_transaction(PG_FUNCTION_ARGS)
{
	TransactionId xid = PG_GETARG_TRANSACTIONID(0);

	if (TransactionIdIsNormal(xid) && TransactionIdFollowsOrEquals(xid, TransactionXmin) &&
		TransactionIdIsInProgress(xid))
		xid = SubTransGetTopmostTransaction(xid);
	PG_RETURN_TRANSACTIONID(xid);
}
