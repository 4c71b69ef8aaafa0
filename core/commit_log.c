/*-------------------------------------------------------------------------
 *
 * commit_log.c
 *	  Lines for the server log that are written when, and only when, the
 *	  transaction commits: a log that names what was rolled back would accuse
 *	  the tables of having lost it.
 *
 * The commit record is written by then. An error that left the callback would
 * abort a transaction that is committed, which is a PANIC of the whole server,
 * so nothing is left to be done at that time that may fail:
 *
 * - the lines are complete, and short enough for the memory that the server
 *	 keeps in reserve for reporting errors;
 * - they go to the server log only. Sent to a client they would be converted to
 *	 its encoding, which fails for a character that it has not, and the word
 *	 "LOG" itself may be translated into such characters;
 * - no error context is asked for, since its callbacks are other people's code;
 * - what fails all the same (no memory, or the emit_log_hook of another
 *	 library) is caught here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/commit_log.h"
#include "core/compat.h"
#include "core/policy.h"
#include "core/rights.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(iu_log_at_commit);

/* With the longer prefix it fits into the 1024 bytes that a message begins with. */
#define LINE_LENGTH 960

/*
 * The mark of these lines. Anybody may have a line of the same words logged by
 * RAISE LOG, with a SQLSTATE of his choice, but those of procedural languages have
 * digits and capital letters only.
 */
#define LINE_SQLSTATE MAKE_SQLSTATE('I', 'U', '_', 'L', 'G')

typedef struct Line
{
	dlist_node	node;
	SubTransactionId subtransaction;	/* with whose abort it is dropped */
	char		text[FLEXIBLE_ARRAY_MEMBER];
} Line;

static dlist_head lines = DLIST_STATIC_INIT(lines); /* in TopTransactionContext */

/*
 * What a raised error left behind, so far as the rest of the commit would trip
 * over it. Raising let go of every hold on interrupts, the commit's included.
 * A commit holds no lightweight lock while callbacks run, so those that are
 * held belong to whoever raised.
 */
static void
swallow_error(MemoryContext context, uint32 interrupt_holds, uint32 cancel_holds)
{
	LWLockReleaseAll();
	MemoryContextSwitchTo(context);
	FlushErrorState();
	InterruptHoldoffCount = interrupt_holds;
	QueryCancelHoldoffCount = cancel_holds;
}

/* Raises nothing, unless a hook ends the process. */
static void
write_line(const char *prefix, const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		interrupt_holds = InterruptHoldoffCount;
	uint32		cancel_holds = QueryCancelHoldoffCount;

	PG_TRY();
	{
		error_context_stack = NULL; /* put back at the end of the block */
		ereport(LOG_SERVER_ONLY,
				(errcode(LINE_SQLSTATE), errmsg_internal("%s%s", prefix, text), errhidestmt(true),
				 errhidecontext(true)));
	}
	PG_CATCH();
	{
		swallow_error(context, interrupt_holds, cancel_holds);
		write_stderr("could not log: %s%s\n", prefix, text);
	}
	PG_END_TRY();
}

static void
write_lines(const char *prefix)
{
	dlist_iter	each;

	dlist_foreach(each, &lines)
		write_line(prefix, dlist_container(Line, node, each.cur)->text);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		write_lines("");
	else if (event == XACT_EVENT_PREPARE)
		write_lines("if the prepared transaction commits: ");
	else if (event != XACT_EVENT_ABORT)
		return;
	dlist_init(&lines);
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	dlist_mutable_iter each;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	dlist_foreach_modify(each, &lines)
	{
		Line	   *line = dlist_container(Line, node, each.cur);

		if (line->subtransaction != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			line->subtransaction = parent;
		else
			dlist_delete(each.cur);
	}
}

/* Registers what writes the lines when a transaction ends; once a process. */
void
iu_commit_log_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

/*
 * iu_core.log_at_commit(line): what is longer than LINE_LENGTH is cut. It is
 * not refused, since a gate must be able to close whatever is said of it.
 */
Datum
iu_log_at_commit(PG_FUNCTION_ARGS)
{
	char	   *given = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			length = pg_mbcliplen(given, strlen(given), LINE_LENGTH);
	Line	   *line;

	iu_require_member(IU_OWNER_ROLE);
	line = MemoryContextAlloc(TopTransactionContext, offsetof(Line, text) + length + 1);
	line->subtransaction = GetCurrentSubTransactionId();
	memcpy(line->text, given, length);
	line->text[length] = '\0';
	dlist_push_tail(&lines, &line->node);
	PG_RETURN_VOID();
}
