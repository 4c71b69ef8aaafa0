/*-------------------------------------------------------------------------
 *
 * opening.h
 *	  When the opening of a gate has effect, by its row of the ledger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_OPENING_H
#define IU_OPENING_H

#include "core/gate_table.h"
#include "datatype/timestamp.h"

/* Columns of the ledger, in the order in which its description in gate.c has them. */
enum
{
	IU_LEDGER_KEY,
	IU_LEDGER_ACTION,
	IU_LEDGER_EXPIRES,
	IU_LEDGER_PLACE,
	IU_LEDGER_CREATED,
	IU_LEDGER_WRITTEN,
	IU_LEDGER_APPROVAL
};

/* An opening has effect from the time at which it was made, which a clock that was set back may not have reached. */
typedef struct IuSpan
{
	TimestampTz from;
	TimestampTz until;			/* 0: no opening */
} IuSpan;

extern bool iu_span_is_now(IuSpan span);
extern IuSpan iu_opening_span(const IuGateRow *row);

#endif							/* IU_OPENING_H */
