/*-------------------------------------------------------------------------
 *
 * held.c
 *	  iu_core.log_held(): a line of the server log when a route comes to be held,
 *	  and when it is held no more.
 *
 * A claim finds a route held again and again; only the change is told. What was
 * told last is kept by the session: each sender tells for itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(iu_log_held);

#define CODE_LENGTH 64			/* longer than any code of iu_delivery_code */

typedef struct HeldRoute
{
	char		route[128];		/* a route's code has at most 120 bytes */
	char		code[CODE_LENGTH];
} HeldRoute;

/* These hold every route, and the ledger has them; a circuit has lines of its own. */
static bool
is_told_elsewhere(const char *code)
{
	static const char *const codes[] = {
		"master_gate_closed", "worker_gate_closed", "delivery_gate_closed", "circuit_open"
	};
	int			i;

	for (i = 0; i < lengthof(codes); i++)
		if (strcmp(codes[i], code) == 0)
			return true;
	return false;
}

/* The routes that are held, as this session was told; made with the first of them. */
static HTAB *
the_held_routes(void)
{
	static HTAB *routes = NULL;
	HASHCTL		control = {.keysize = sizeof(((HeldRoute *) NULL)->route), .entrysize = sizeof(HeldRoute)};

	control.hcxt = TopMemoryContext;
	if (routes == NULL)
		routes = hash_create("iu_core held routes", 16, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	return routes;
}

static void
note_held(const char *route, const char *code)
{
	bool		known;
	HeldRoute  *held = hash_search(the_held_routes(), route, HASH_ENTER, &known);

	if (known && strcmp(held->code, code) == 0)
		return;
	strlcpy(held->code, code, sizeof(held->code));
	ereport(LOG,
			(errmsg("route \"%s\" is held: %s", route, code)));
}

static void
note_free(const char *route)
{
	bool		known;

	(void) hash_search(the_held_routes(), route, HASH_REMOVE, &known);
	if (known)
		ereport(LOG,
				(errmsg("route \"%s\" is no longer held", route)));
}

/* iu_core.log_held(route text, code text) */
Datum
iu_log_held(PG_FUNCTION_ARGS)
{
	char		route[sizeof(((HeldRoute *) NULL)->route)];

	if (PG_ARGISNULL(0))
		PG_RETURN_VOID();
	text_to_cstring_buffer(PG_GETARG_TEXT_PP(0), route, sizeof(route));
	if (PG_ARGISNULL(1))
		note_free(route);
	else
	{
		char		code[CODE_LENGTH];

		text_to_cstring_buffer(PG_GETARG_TEXT_PP(1), code, sizeof(code));
		if (!is_told_elsewhere(code))
			note_held(route, code);
	}
	PG_RETURN_VOID();
}
