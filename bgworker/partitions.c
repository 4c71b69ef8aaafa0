/*-------------------------------------------------------------------------
 *
 * partitions.c
 *	  The runner's duty to have partitions for the days to come. The policy makes
 *	  and ends them, a little in each call, and says in words what is wrong with
 *	  them; iu_core.health() tells it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/partitions.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "utils/memutils.h"

#define LOOK_MS 20000
#define LOOK_WHILE_TROUBLED_MS 5000

typedef struct Tending
{
	MemoryContext context;		/* of the pass */
	bool		more;			/* to be done at once */
	char	   *trouble;		/* NULL: none */
} Tending;

static void
tend(void *argument)
{
	static const IuCall call[] = {IU_CALL_PARTITIONS};
	static const IuColumn columns[] = {{"more", BOOLOID}, {"trouble", TEXTOID}};
	int			numbers[lengthof(columns)];
	Tending    *tending = argument;
	char	   *trouble;

	if (iu_calls_readiness(call, lengthof(call)) != IU_RUNNING)
		return;
	iu_call(IU_CALL_PARTITIONS, NULL);
	iu_row_columns(columns, lengthof(columns), numbers);
	tending->more = DatumGetBool(iu_row_required(0, numbers[0]));
	trouble = iu_row_text(0, numbers[1]);
	tending->trouble = trouble != NULL ? MemoryContextStrdup(tending->context, trouble) : NULL;
}

/* Does what there is to do, and says when to look again. Returns the error of a look that failed, or NULL. */
ErrorData *
iu_partitions_tend(TimestampTz *next_look)
{
	Tending		tending = {CurrentMemoryContext};
	ErrorData  *error = iu_worker_transact("making partitions", tend, &tending);

	if (error != NULL)
	{
		iu_slot_partition_trouble(iu_worker_slot(),
								  psprintf("partitions of iu_route_attempt cannot be looked after: %s",
										   error->message));
		return error;
	}
	iu_slot_partition_trouble(iu_worker_slot(), tending.trouble);
	*next_look = tending.more ? 0 : iu_from_now(tending.trouble != NULL ? LOOK_WHILE_TROUBLED_MS : LOOK_MS);
	return NULL;
}
