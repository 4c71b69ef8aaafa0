/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  What the SQLSTATE of an error that was caught says of its cause.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/errors.h"

/*
 * Whether an error may come from the data at hand, so that other data would
 * not meet it. False for errors that have nothing to do with the data and must
 * be passed on: a transaction that is to be tried again, lack of memory or
 * disk, a cancel, a shutdown, a failing system.
 *
 * sqlerrcode: as in ErrorData.
 */
bool
iu_error_is_of_data(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK):
		case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
		case ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION):
		case ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR):
			return false;
		default:
			return true;
	}
}
