/*-------------------------------------------------------------------------
 *
 * troubles.c
 *	  The runner's look at whether the gates stand as people mean them to (what
 *	  lapsed though nobody closed it, and what will soon), and at the certificates of
 *	  routes. The policy says it in words, and iu_core.health() tells them.
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
	struct
	{
		char	   *alarm;		/* NULL: none */
		char	   *warning;
	}			gates,
				certificates;
} Troubles;

static char *
keep(MemoryContext context, char *text)
{
	return text != NULL ? MemoryContextStrdup(context, text) : NULL;
}

/* Calls a function of the policy, and keeps what it says. */
static void
ask(IuCall call, MemoryContext context, char **alarm, char **warning)
{
	static const IuColumn columns[] = {{"alarm", TEXTOID}, {"warning", TEXTOID}};
	int			numbers[lengthof(columns)];

	if (iu_calls_readiness(&call, 1) != IU_RUNNING)
		return;
	iu_call(call, NULL);
	iu_row_columns(columns, lengthof(columns), numbers);
	if (SPI_processed == 0)
		return;
	*alarm = keep(context, iu_row_text(0, numbers[0]));
	*warning = keep(context, iu_row_text(0, numbers[1]));
}

static void
ask_for_troubles(void *argument)
{
	Troubles   *troubles = argument;

	ask(IU_CALL_TROUBLES, troubles->context, &troubles->gates.alarm, &troubles->gates.warning);
	ask(IU_CALL_CERTIFICATES, troubles->context, &troubles->certificates.alarm, &troubles->certificates.warning);
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
	{
		iu_slot_gate_troubles(iu_worker_slot(), troubles.gates.alarm, troubles.gates.warning);
		iu_slot_certificate_troubles(iu_worker_slot(), troubles.certificates.alarm, troubles.certificates.warning);
	}
	*next_look = iu_from_now(error != NULL || troubles.gates.alarm != NULL ? LOOK_WHILE_TROUBLED_MS : LOOK_MS);
	return NULL;
}
