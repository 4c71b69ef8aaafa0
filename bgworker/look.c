/*-------------------------------------------------------------------------
 *
 * look.c
 *	  Where a sender looks for deliveries.
 *
 * There may be a thousand routes, and most commits concern a few of them. So a
 * look is at the routes that carry what was committed since the last look, and
 * at those of which the sender has recorded something or has left something
 * behind. A look at all routes comes when the clock brings something, when the
 * sender is woken for more than events that were written, and once a minute.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/calls.h"
#include "bgworker/look.h"
#include "catalog/pg_type.h"
#include "core/clock.h"
#include "core/compat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define CODE_LENGTH 128			/* a route's code has at most 120 bytes */
#define ROUND_PACE 4			/* between two looks at all routes, so many times as long as one takes */
#define FIRST_REPEAT_MS 100		/* after a look that came up empty; then four times as long each time */
#define LAST_REPEAT_MS 2000		/* up to this; then no more */

/* parent: of the memory contexts. */
void
iu_look_init(IuLook *look, MemoryContext parent)
{
	HASHCTL		control = {.keysize = CODE_LENGTH, .entrysize = CODE_LENGTH, .hcxt = parent};

	look->context = AllocSetContextCreate(parent, "iu_core look", ALLOCSET_DEFAULT_SIZES);
	look->again = hash_create("iu_core routes to look at", 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/* All routes are to be looked at by that time. */
void
iu_look_round_by(IuLook *look, TimestampTz when)
{
	iu_bring_forward(&look->next_round, when);
}

/* The route is to be looked at with the next look. */
void
iu_look_again(IuLook *look, const char *route_code)
{
	char		key[CODE_LENGTH];

	strlcpy(key, route_code, sizeof(key));
	(void) hash_search(look->again, key, HASH_ENTER, NULL);
}

/* When the next look at all routes is due. */
TimestampTz
iu_look_round_due(const IuLook *look)
{
	return Max(look->next_round, look->paced_round);
}

/* ---- One look ---- */

/* Begins a look, outside of a transaction. What woke the sender before this is seen by it. */
void
iu_look_prepare(IuLook *look)
{
	MemoryContextReset(look->context);
	look->routes = NIL;
	look->now = NULL;
	look->began = iu_now();
	if (iu_slot_look_around(iu_worker_slot()))
		look->next_round = 0;
	look->everywhere = look->seen == NULL || iu_look_round_due(look) <= look->began;
}

/* In the memory of the look. */
static void
add_route(IuLook *look, const char *route_code)
{
	MemoryContext caller = MemoryContextSwitchTo(look->context);

	look->routes = lappend(look->routes, pstrdup(route_code));
	MemoryContextSwitchTo(caller);
}

static void
add_routes(IuLook *look, Datum array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			i;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (i = 0; i < count; i++)
		if (!nulls[i])
			add_route(look, TextDatumGetCString(elements[i]));
}

static void
add_routes_again(IuLook *look)
{
	HASH_SEQ_STATUS each;
	char	   *code;

	hash_seq_init(&each, look->again);
	while ((code = hash_seq_search(&each)) != NULL)
		add_route(look, code);
}

/* Finds out where to look, in a transaction. False: nowhere. */
bool
iu_look_find(IuLook *look)
{
	static const IuColumn names[] = {{"now", TEXTOID}, {"routes", TEXTARRAYOID}};
	int			columns[lengthof(names)];
	Datum		arguments[1];
	Datum		routes;
	bool		null;

	arguments[0] = CStringGetTextDatum(look->everywhere ? "" : look->seen);
	iu_call(IU_CALL_NEWS, arguments);
	if (SPI_processed != 1)
		elog(ERROR, "the news of a sender have %d rows", (int) SPI_processed);
	iu_row_columns(names, lengthof(names), columns);
	look->now = MemoryContextStrdup(look->context, TextDatumGetCString(iu_row_required(0, columns[0])));
	routes = iu_row_value(0, columns[1], &null);
	if (null)
		look->everywhere = true;
	if (look->everywhere)
		return true;
	add_routes(look, routes);
	add_routes_again(look);
	return look->routes != NIL;
}

/* The routes of the look as text[] in the current memory context; *null is 'n' for all routes, ' ' otherwise. */
Datum
iu_look_routes(const IuLook *look, char *null)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(look->routes), 1));
	ListCell   *cell;

	*null = look->everywhere ? 'n' : ' ';
	foreach(cell, look->routes)
		elements[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(elements, list_length(look->routes), TEXTOID, -1, false, TYPALIGN_INT));
}

static void
forget_again(IuLook *look)
{
	HASH_SEQ_STATUS each;
	char	   *code;

	hash_seq_init(&each, look->again);
	while ((code = hash_seq_search(&each)) != NULL)
		(void) hash_search(look->again, code, HASH_REMOVE, NULL);
}

/* What was looked at is looked at again. */
static void
keep_all(IuLook *look)
{
	ListCell   *cell;

	if (look->everywhere)
		look->next_round = 0;
	foreach(cell, look->routes)
		iu_look_again(look, lfirst(cell));
}

/* After the commit. full: the claim brought as much as it asked for, so that some routes were not looked at. */
void
iu_look_done(IuLook *look, bool full)
{
	char	   *seen = MemoryContextStrdup(MemoryContextGetParent(look->context), look->now);

	if (look->seen != NULL)
		pfree(look->seen);
	look->seen = seen;
	forget_again(look);
	if (look->everywhere)
	{
		TimestampTz now = iu_now();

		look->next_round = iu_from_now(IU_LONGEST_SLEEP_MS);
		look->paced_round = now + ROUND_PACE * (now - look->began);
	}
	if (full)
		keep_all(look);
}

/* After an error: the next look is at all routes. */
void
iu_look_failed(IuLook *look)
{
	look->next_round = 0;
}

/* Where nothing can be claimed: the next look is at all routes, and comes when somebody wakes the sender. */
void
iu_look_put_off(IuLook *look)
{
	look->next_round = iu_from_now(IU_LONGEST_SLEEP_MS);
}

/*
 * due: when there is something to claim on the routes of the look. Returns when
 * to claim again at the latest, beside the next look at all routes.
 */
TimestampTz
iu_look_ahead_found(IuLook *look, TimestampTz due)
{
	if (!iu_is_past(due))
	{
		iu_look_round_by(look, due);
		return DT_NOEND;
	}
	keep_all(look);
	return due;
}

/*
 * A look that brought nothing may have met another sender's claim under way,
 * which held a route and may leave some of it. That sender wakes this one, unless
 * its claim fails or it stands still. Returns when to look at the same routes once
 * more in that case; DT_NOEND: it has been tried for long enough.
 */
TimestampTz
iu_look_repeat(IuLook *look)
{
	look->repeat_ms = look->repeat_ms == 0 ? FIRST_REPEAT_MS : look->repeat_ms * 4;
	if (look->repeat_ms > LAST_REPEAT_MS)
	{
		look->repeat_ms = 0;
		return DT_NOEND;
	}
	if (look->everywhere)
	{
		iu_look_round_by(look, iu_from_now(look->repeat_ms));
		return DT_NOEND;
	}
	keep_all(look);
	return iu_from_now(look->repeat_ms);
}
