/*-------------------------------------------------------------------------
 *
 * calls.h
 *	  The SQL functions that the workers call, and the rows that they return.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CALLS_H
#define IU_CALLS_H

#include "core/slots.h"
#include "executor/spi.h"

/* Keep the table in calls.c in the same order: each function's name and arguments. */
typedef enum IuCall
{
	/* of the watchdog */
	IU_CALL_GATES_EXPIRING,
	IU_CALL_GATE_CLOSE,
	IU_CALL_GATE_OVERSTAYED,
	IU_CALL_PLACE_BEGIN,

	/* of a sender; the record is also the runner's */
	IU_CALL_SETTLE,
	IU_CALL_NEWS,
	IU_CALL_CLAIM,
	IU_CALL_CHECK,
	IU_CALL_NEXT_DUE,
	IU_CALL_RECORD,
	IU_CALL_KEEP,
	IU_CALL_OUTBOX_TURN,

	/* of the runner */
	IU_CALL_FUNCTION_CLAIM,
	IU_CALL_FUNCTION_BEGIN,
	IU_CALL_FUNCTION_RUN,
	IU_CALL_FUNCTION_NEXT_DUE,
	IU_CALL_SCHEDULE_BEGIN,
	IU_CALL_SCHEDULE_TURN,
	IU_CALL_CONFORMANCE,
	IU_CALL_TROUBLES,
	IU_CALL_PARTITIONS,
	IU_CALL_CERTIFICATES
} IuCall;

#define IU_CALLS (IU_CALL_CERTIFICATES + 1)

/* From the start of a worker that is connected to a database. */
extern void iu_calls_init(void);

/* All of these are in a transaction. */
extern IuWorkerState iu_calls_readiness(const IuCall *calls, int count);
extern void iu_call(IuCall call, Datum *arguments);
extern void iu_call_with_nulls(IuCall call, Datum *arguments, const char *nulls);
extern Datum iu_call_for_value(IuCall call, Datum *arguments, bool *null);
extern Datum iu_call_for_value_with_nulls(IuCall call, Datum *arguments, const char *nulls, bool *null);

/* A column of the rows that a function returns. */
typedef struct IuColumn
{
	const char *name;
	Oid			type;
} IuColumn;

/* The rows of the last call, which stand in SPI_tuptable. */
extern void iu_row_columns(const IuColumn *columns, int count, int *numbers);
extern Datum iu_row_value(uint64 row, int number, bool *null);
extern Datum iu_row_required(uint64 row, int number);
extern char *iu_row_text(uint64 row, int number);

#endif							/* IU_CALLS_H */
