/*-------------------------------------------------------------------------
 *
 * troubles.c
 *	  The runner's look at whether the gates stand as people mean them to: what
 *	  lapsed though nobody closed it, and what will soon. The policy says it in
 *	  words, and iu_core.health() tells them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/troubles.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "utils/memutils.h"

#define LOOK_MS 10000
#define LOOK_WHILE_TROUBLED_MS 2000

typedef struct Troubles
{
	MemoryContext context;		/* of the pass */
	char	   *alarm;			/* NULL: none */
	char	   *warning;
} Troubles;

static char *
keep(MemoryContext context, char *text)
{
	return text != NULL ? MemoryContextStrdup(context, text) : NULL;
}

static void
ask_for_troubles(void *argument)
{
	static const IuCall call[] = {IU_CALL_TROUBLES};
	static const IuColumn columns[] = {{"alarm", TEXTOID}, {"warning", TEXTOID}};
	int			numbers[lengthof(columns)];
	Troubles   *troubles = argument;

	if (iu_calls_readiness(call, lengthof(call)) != IU_RUNNING)
		return;
	iu_call(IU_CALL_TROUBLES, NULL);
	iu_row_columns(columns, lengthof(columns), numbers);
	if (SPI_processed == 0)
		return;
	troubles->alarm = keep(troubles->context, iu_row_text(0, numbers[0]));
	troubles->warning = keep(troubles->context, iu_row_text(0, numbers[1]));
}

/*
 * Looks, and says when to look again. Returns the error of a look that failed, or
 * NULL. While somebody holds a lock what was found before stands.
 */
ErrorData *
iu_troubles_look(TimestampTz *next_look)
{
	Troubles	troubles = {CurrentMemoryContext};
	ErrorData  *error = iu_worker_transact("looking how the gates stand", ask_for_troubles, &troubles);

	if (error != NULL && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		return error;
	if (error == NULL)
		iu_slot_gate_troubles(iu_worker_slot(), troubles.alarm, troubles.warning);
	*next_look = iu_from_now(error != NULL || troubles.alarm != NULL ? LOOK_WHILE_TROUBLED_MS : LOOK_MS);
	return NULL;
}
