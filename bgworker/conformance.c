/*-------------------------------------------------------------------------
 *
 * conformance.c
 *	  The runner's look at whether the database is as its migrations made it:
 *	  once a minute it asks the policy how many differences there are, and puts
 *	  the answer where iu_core.health() reads it.
 *
 * A look that coincides with the end of a migration sees some of the catalog
 * before it and some after, so differences count when a second look, a second
 * later, finds some as well. While there are differences it looks more often, so
 * that health turns well soon after they are mended.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/conformance.h"
#include "catalog/pg_type.h"
#include "core/carried.h"
#include "core/compat.h"
#include "core/policy.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define LOOK_MS 60000
#define LOOK_AGAIN_MS 1000		/* whether a difference is one */
#define LOOK_WHILE_DIFFERENT_MS 5000

typedef struct Look
{
	MemoryContext context;		/* of the pass */
	int			differences;
	char	   *first;
} Look;

/* What conformance itself is made of says that all is well, whatever it is. */
static void
look_at_functions(Look *look)
{
	char	   *altered = iu_altered_function();

	if (altered == NULL)
		return;
	look->differences = 1;
	look->first = MemoryContextAlloc(look->context, IU_ERROR_LENGTH);
	snprintf(look->first, IU_ERROR_LENGTH, "function %s is not the one that the library carries", altered);
}

/*
 * A look reads everything, in another order than that in which somebody takes things away: DROP EXTENSION, or a restore
 * that drops first. Of the two the look is to be the victim of a deadlock. Where it waits first it gives up after a
 * second, which is before the other asks whether there is a deadlock; where it waits second it is the first to ask.
 */
static void
give_way(void)
{
	(void) set_config_option("deadlock_timeout", "10ms", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* Where the policy is there without this function, that is a difference of its own. */
static void
count_differences(void *argument)
{
	static const IuCall call[] = {IU_CALL_CONFORMANCE};
	static const IuCall others[] = {IU_CALL_GATES_EXPIRING};
	static const IuColumn columns[] = {{"problems", INT4OID}, {"first", TEXTOID}};
	int			numbers[lengthof(columns)];
	Look	   *look = argument;
	char	   *first;

	give_way();
	if (iu_calls_readiness(call, lengthof(call)) != IU_RUNNING)
	{
		look->differences = iu_calls_readiness(others, lengthof(others)) == IU_RUNNING ? 1 : 0;
		look->first = "function " IU_POLICY_SCHEMA ".fn_iu_conformance_problems() is gone";
		return;
	}
	iu_call(IU_CALL_CONFORMANCE, NULL);
	iu_row_columns(columns, lengthof(columns), numbers);
	look->differences = DatumGetInt32(iu_row_required(0, numbers[0]));
	first = iu_row_text(0, numbers[1]);
	look->first = first != NULL ? MemoryContextStrdup(look->context, first) : NULL;
	if (look->differences == 0)
		look_at_functions(look);
}

/* Whether a lock of somebody else is all that was wrong. */
static bool
is_in_the_way(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

/*
 * Looks, and says when to look again. Returns the error of a look that failed,
 * or NULL. That somebody holds a lock says nothing of conformance: then it looks
 * again soon, and health tells when it has not been able to for long.
 */
ErrorData *
iu_conformance_look(IuConformanceWatch *watch)
{
	Look		look = {CurrentMemoryContext};
	ErrorData  *error = iu_worker_transact("comparing what is governed with what is there", count_differences, &look);

	if (error != NULL && is_in_the_way(error->sqlerrcode))
	{
		watch->next_look = iu_from_now(LOOK_WHILE_DIFFERENT_MS);
		return NULL;
	}
	if (error != NULL)
		return error;
	if (look.differences > 0 && !watch->differs && !watch->suspects)
	{
		watch->suspects = true;
		watch->next_look = iu_from_now(LOOK_AGAIN_MS);
		return NULL;
	}
	watch->suspects = false;
	watch->differs = look.differences > 0;
	iu_slot_judged(iu_worker_slot(), look.differences, look.first);
	watch->next_look = iu_from_now(watch->differs ? LOOK_WHILE_DIFFERENT_MS : LOOK_MS);
	return NULL;
}
