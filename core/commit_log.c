/*-------------------------------------------------------------------------
 *
 * commit_log.c
 *	  Lines for the server log that are written when, and only when, the
 *	  transaction commits: a log that names what was rolled back would accuse
 *	  the tables of having lost it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/commit_log.h"
#include "core/compat.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(iu_log_at_commit);

typedef struct Line
{
	SubTransactionId subtransaction;	/* with whose abort it is dropped */
	char	   *text;
} Line;

static List *lines = NIL;		/* in TopTransactionContext */

static void
write_lines(const char *prefix)
{
	ListCell   *cell;

	foreach(cell, lines)
		ereport(LOG,
				(errmsg("%s%s", prefix, ((Line *) lfirst(cell))->text), errhidestmt(true), errhidecontext(true)));
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
	lines = NIL;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	ListCell   *cell;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	foreach(cell, lines)
	{
		Line	   *line = lfirst(cell);

		if (line->subtransaction != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			line->subtransaction = parent;
		else
			lines = foreach_delete_current(lines, cell);
	}
}

void
iu_commit_log_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

Datum
iu_log_at_commit(PG_FUNCTION_ARGS)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	Line	   *line = palloc(sizeof(Line));

	line->subtransaction = GetCurrentSubTransactionId();
	line->text = text_to_cstring(PG_GETARG_TEXT_PP(0));
	lines = lappend(lines, line);
	MemoryContextSwitchTo(caller);
	PG_RETURN_VOID();
}
