/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  What the worker processes share: start, transactions, calls of the
 *	  policy's functions, and steps that may fail without ending the process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_WORKER_H
#define IU_WORKER_H

#include "core/slots.h"
#include "executor/spi.h"

/* The slot of this process; set by iu_worker_attach. */
extern int	iu_my_slot;

/*
 * Takes the slot and sets up signals, before anything can go wrong: whatever
 * ends the process from then on can be read in the slot. False if it is taken.
 */
extern bool iu_worker_attach(int slot, uint64 generation);

/*
 * Attaches to the slot that the launcher handed over, connects to its
 * database. A lock is waited for no longer than
 * lock_timeout. Leaves at once if the launcher changed its mind meanwhile.
 */
extern void iu_worker_begin(Datum main_arg, const char *lock_timeout);

/* Interrupts and a reloaded configuration; for each turn of a loop, outside of transactions. */
extern void iu_worker_absorb(void);

/* A transaction with SPI and a snapshot. Commit returns to the memory context of begin. */
extern void iu_worker_begin_transaction(const char *activity);
extern void iu_worker_commit(void);

/* A function of the policy, in schema public. The plan is made once and kept. */
#define IU_CALL_ARGUMENTS 16

typedef struct IuCall
{
	const char *function;
	int			argument_count;
	Oid			argument_types[IU_CALL_ARGUMENTS];
	SPIPlanPtr	plan;
} IuCall;

/* IU_RUNNING if the extension and all the functions exist, or what is missing. */
extern IuWorkerState iu_worker_readiness(const IuCall *const *calls, int count);

/* SELECT * FROM the function: rows in SPI_tuptable, as many as SPI_processed. */
extern void iu_worker_call(IuCall *call, Datum *arguments);

/* A column of such a row as text, palloc'd in the context; NULL for NULL. */
extern char *iu_worker_column(MemoryContext context, uint64 row, const char *name);

/*
 * Runs a step. An error in it ends only the step: its transaction is aborted
 * and the error returned, in the memory context of the call.
 */
typedef void (*IuStep) (void *argument);
extern ErrorData *iu_worker_try(IuStep step, void *argument);

/*
 * Shows an error in last_error, as failing, and in the server log; there the
 * same message in a row only once a minute.
 */
extern void iu_worker_report(ErrorData *error);

/* An error that nothing raised, to be reported. */
extern ErrorData *iu_worker_error(int sqlstate, char *message);

/* Until that time, 0: without limit, or until the latch is set. */
extern void iu_worker_sleep(TimestampTz until, uint32 wait_event);

/* Waiting longer each time: first at once after a success, doubling up to a limit. */
typedef struct IuBackoff
{
	int			delay_ms;		/* 0: no failure since the last success */
	TimestampTz not_before;
} IuBackoff;

extern void iu_backoff_grow(IuBackoff *backoff, int first_ms, int limit_ms);
extern void iu_backoff_clear(IuBackoff *backoff);

#endif							/* IU_WORKER_H */
