/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  One reading of a foreign table: requests, answers and rows.
 *
 * Everything of a scan hangs below its memory context, the connections
 * included, so that an error or a cancel needs no clean-up of its own. Memory
 * is bounded by what is outstanding and the rows of one answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "fdw/failure.h"
#include "fdw/keys.h"
#include "fdw/pending.h"
#include "fdw/resource.h"
#include "fdw/room.h"
#include "fdw/scan.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#define REQUESTS_EACH 3			/* at once, about one collection */
#define ANSWER_MEMORY "iu_core answer"

/* ---- the start ---- */

/*
 * Opens a scan, which asks for nothing yet. For counts see iu_rows_for_counts.
 *
 * parent: its memory hangs below this context; user: whose secret the requests
 * carry; query: what restricts, and what is looked at; limit: rows that are
 * enough, -1: all; descriptor: of the rows; attributes: int list, the numbers
 * of the table's columns that are looked at.
 */
IuScan *
iu_scan_open(MemoryContext parent, Oid user, const IuQuery *query, double limit,
			 TupleDesc descriptor, List *attributes)
{
	MemoryContext context = AllocSetContextCreate(parent, "iu_core foreign scan", ALLOCSET_SMALL_SIZES);
	IuScan	   *scan = MemoryContextAllocZero(context, sizeof(IuScan));

	scan->context = context;
	scan->run_context = AllocSetContextCreate(context, "iu_core requests", ALLOCSET_DEFAULT_SIZES);
	scan->answer_context = AllocSetContextCreate(context, ANSWER_MEMORY, ALLOCSET_DEFAULT_SIZES);
	scan->table = query->table;
	scan->query = *query;
	scan->limit = limit;
	scan->keyed_collection = query->restricted[IU_KEY_COLLECTION];
	if (scan->table->collection != NULL)
		scan->query.restricted[IU_KEY_COLLECTION] = true;
	iu_session_open(&scan->session, context, scan->table->server, user);
	scan->nulls = iu_nulls_of_option(iu_query_option(query, "null_character"));
	iu_rows_open(&scan->rows, context, scan->table, descriptor, attributes);
	return scan;
}

/* The one collection of the table, as far as the query's keys leave it. */
static List *
only_collection(IuScan *scan, List *keys, bool restricted)
{
	ListCell   *cell;

	if (!restricted)
		return list_make1(unconstify(char *, scan->table->collection));
	foreach(cell, keys)
		if (strcmp(lfirst(cell), scan->table->collection) == 0)
			return list_make1(lfirst(cell));
	return NIL;
}

/* Those of the collections named that are in the list of all. */
static List *
listed_collections(const IuScan *scan, List *keys)
{
	List	   *listed = NIL;
	ListCell   *key;

	foreach(key, keys)
		if (iu_keys_hold(scan->listed, lfirst(key)))
			listed = lappend(listed, lfirst(key));
	return listed;
}

/* False if a role is restricted, and there is no key of it: no row can match then. */
static bool
can_match(const IuScan *scan)
{
	int			role;

	for (role = 0; role < IU_ROLES; role++)
		if (scan->query.restricted[role] && scan->keys[role] == NIL)
			return false;
	return true;
}

/*
 * Starts a run of the scan: asks for the first things.
 *
 * keys: by role, lists of distinct C strings in order, that live as long as the run.
 * Those of a role that the query does not restrict do not matter.
 */
void
iu_scan_start(IuScan *scan, List **keys)
{
	MemoryContext old = MemoryContextSwitchTo(scan->run_context);
	const IuTable *table = scan->table;

	scan->started = true;
	scan->page_size = scan->page_most = scan->query.page_size;
	memcpy(scan->keys, keys, sizeof(scan->keys));
	if (table->collection != NULL)
		scan->keys[IU_KEY_COLLECTION] = only_collection(scan, keys[IU_KEY_COLLECTION], scan->keyed_collection);
	else if (scan->query.listed && scan->list_known)
		scan->keys[IU_KEY_COLLECTION] = listed_collections(scan, keys[IU_KEY_COLLECTION]);
	MemoryContextSwitchTo(scan->answer_context);
	if (scan->query.restricted[IU_KEY_COLLECTION])
		iu_session_expect(&scan->session,
						  Min(list_length(scan->keys[IU_KEY_COLLECTION]), PG_INT16_MAX) * REQUESTS_EACH);
	if (can_match(scan))
		table->resource->start(scan);
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->answer_context);
}

/* ---- answers ---- */

/* The status for refused(): 0 where no answer came, or one of status 200 that is no JSON. */
static int
status_of_refusal(const IuHttpAnswer *answer)
{
	return answer->outcome == IU_HTTP_ANSWERED && answer->status != 200 ? answer->status : 0;
}

/* Whether the resource asked again for less, where this answer or its request was too large. */
static bool
asked_for_less(IuScan *scan, const IuFetch *fetch, const IuHttpAnswer *answer)
{
	const IuResource *resource = scan->table->resource;
	bool		is_request = answer->outcome == IU_HTTP_REQUEST_TOO_LARGE ||
		(answer->outcome == IU_HTTP_ANSWERED && (answer->status == 413 || answer->status == 431));

	if (resource->too_large == NULL || (!is_request && answer->outcome != IU_HTTP_TOO_LARGE))
		return false;
	return resource->too_large(scan, fetch, is_request);
}

/* Has the resource read a document, whatever the session's settings are. */
static void
read_document(IuScan *scan, const IuFetch *fetch, const IuJson *document)
{
	int			settings = scan->rows.follow_settings ? iu_field_fix_settings() : 0;

	scan->table->resource->answered(scan, fetch, document);
	if (settings != 0)
		iu_field_free_settings(settings);
}

/* Has the resource read an answer, or tells what went wrong. */
static void
handle_answer(IuScan *scan, const IuFetch *fetch, const IuHttpAnswer *answer)
{
	const IuResource *resource = scan->table->resource;
	char	   *problem;
	const IuJson *document = iu_session_document(answer, scan->nulls, &scan->rows.marked, &problem);
	IuFailure	failure = {0};

	if (fetch->failed != NULL && *fetch->failed)
		return;
	if (document != NULL && answer->status == 200)
	{
		scan->answer_bytes = answer->body.len;
		read_document(scan, fetch, document);
		return;
	}
	if (asked_for_less(scan, fetch, answer))
	{
		scan->retries++;
		return;
	}
	if (resource->refused != NULL &&
		resource->refused(scan, fetch, status_of_refusal(answer), document))
	{
		scan->retries++;
		return;
	}
	iu_failure_of_answer(&failure, scan->table->server->remote, fetch, answer, document, problem,
						 scan->session.secret);
	if (fetch->failed != NULL)
		*fetch->failed = true;
	iu_scan_fail(scan, fetch->key, &failure);
}

/* Waits for an answer, or if not patient, only looks for one. False: there is none. */
static bool
read_answer(IuScan *scan, bool patient)
{
	MemoryContext old;
	IuHttpAnswer *answer;

	old = MemoryContextSwitchTo(scan->answer_context);
	answer = iu_session_wait(&scan->session, patient);
	if (answer != NULL && iu_pending_was_neglected(answer->owner, &scan->session, answer))
	{
		scan->retries++;
		iu_pending_send(answer->owner, &scan->session);
	}
	else if (answer != NULL)
	{
		scan->in_answer = true;
		handle_answer(scan, &((IuPending *) answer->owner)->fetch, answer);
		scan->in_answer = false;
		iu_pending_free(answer->owner);
	}
	MemoryContextSwitchTo(old);
	if (answer == NULL)
		return false;
	scan->answer_context = iu_room_empty(scan->answer_context, ANSWER_MEMORY, &scan->answer_kept);
	return true;
}

/* Sends requests of a list, which is empty then. */
static void
send_all(IuScan *scan, List **list)
{
	MemoryContext old;
	ListCell   *cell;

	if (*list == NIL)
		return;
	old = MemoryContextSwitchTo(scan->answer_context);
	foreach(cell, *list)
		iu_pending_send(lfirst(cell), &scan->session);
	list_free(*list);
	*list = NIL;
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->answer_context);
}

/* Sends what is to be sent later, if it is time; waits for that if patient. False if it is not yet time. */
static bool
send_later(IuScan *scan, bool patient)
{
	static uint32 wait_event = 0;
	int64		now;

	if (wait_event == 0)
		wait_event = iu_wait_event("IuCoreRemotePause");
	while ((now = iu_clock_ms()) < scan->later_at)
	{
		if (!patient)
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, scan->later_at - now, wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	scan->later_at = 0;
	send_all(scan, &scan->later);
	return true;
}

/*
 * The next row, which belongs to the scan; NULL at the end, when the
 * connections have been given back. (Whoever wants less than all rows gives
 * them back by iu_scan_close.)
 *
 * patient: waits for the row. Otherwise NULL may also mean that it is not there
 * yet: then *unfinished is set, and iu_session_descriptor tells when to look
 * again.
 */
HeapTuple
iu_scan_next(IuScan *scan, bool patient, bool *unfinished)
{
	*unfinished = false;
	for (;;)
	{
		HeapTuple	row = iu_rows_take(&scan->rows);

		if (row != NULL)
			return row;
		/* the rows at hand were not enough */
		send_all(scan, &scan->held);
		if (iu_session_pending(&scan->session) > 0)
		{
			if (!read_answer(scan, patient) && !patient)
			{
				*unfinished = true;
				return NULL;
			}
		}
		else if (scan->later != NIL)
		{
			if (!send_later(scan, patient))
			{
				*unfinished = true;
				return NULL;
			}
		}
		else if (scan->query.counts && !scan->counted)
		{
			scan->counted = true;
			iu_rows_finish_counts(&scan->rows);
		}
		else
		{
			iu_session_close(&scan->session);
			return NULL;
		}
	}
}

/* ---- again, and the end ---- */

/* Makes the scan as it was before its start; what was asked is forgotten. */
void
iu_scan_reset(IuScan *scan)
{
	iu_session_close(&scan->session);
	scan->started = false;
	scan->counted = false;
	if (!scan->list_known)
		scan->listed = NIL;
	scan->in_answer = false;
	scan->held = scan->later = NIL;
	scan->later_at = 0;
	iu_rows_reset(&scan->rows);
	MemoryContextReset(scan->answer_context);
	MemoryContextReset(scan->run_context);
}

/* Frees the scan, and gives the connections back if it still has them. */
void
iu_scan_close(IuScan *scan)
{
	iu_session_close(&scan->session);
	MemoryContextDelete(scan->context);
}
