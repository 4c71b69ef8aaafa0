/*-------------------------------------------------------------------------
 *
 * function_call.h
 *	  The call of a registered function for a delivery.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_FUNCTION_CALL_H
#define IU_FUNCTION_CALL_H

#include "bgworker/attempt.h"
#include "bgworker/worker.h"
#include "portability/instr_time.h"

/* The texts of its attempt last as long as the transaction. */
typedef struct IuFunctionCall
{
	int64		lease_id;
	int			generation;
	int			timeout_ms;
	instr_time	began;
	bool		called;			/* fn_iu_function_call has returned: the lease was this process's */
	bool		returned;		/* this process has called it before, and that call came to its end */
	bool		last;			/* its turn comes after all others: a process ended in the middle of its call */
	IuAttempt	attempt;
	IuBackoff	backoff;		/* while it is put aside */
} IuFunctionCall;

typedef enum IuCallResult
{
	IU_CALL_DONE,				/* recorded, or another's by now */
	IU_CALL_AGAIN,				/* to be tried again, not before the backoff says so */
	IU_CALL_LAST				/* not called: the others first */
} IuCallResult;

extern IuCallResult iu_function_call(IuFunctionCall *call, bool *overran);
extern void iu_function_tidy(void);

#endif							/* IU_FUNCTION_CALL_H */
