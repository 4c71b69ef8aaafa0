/*-------------------------------------------------------------------------
 *
 * script.c
 *	  Runs one SQL script, statement by statement.
 *
 * The whole script stays the source text of each of its statements, and each
 * runs in a portal of its own. So every position that the parser, the planner
 * or a function's validator reports is a position in the script, and an error
 * in the fourth line of a function body names the right line of the file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/library_function.h"
#include "core/rights.h"
#include "core/script.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

typedef struct ScriptPosition
{
	const char *label;
	const char *text;
	const IuScriptFile *files;	/* NULL: the script is one file */
	int			location;		/* bytes; -1 where no statement runs */
	bool		parsing;
	bool		finished;		/* only what was deferred is left */
} ScriptPosition;

/* The first byte at or after location that is neither white space nor comment. */
static int
skip_to_statement(const char *text, int location)
{
	const char *p = text + Max(location, 0);

	for (;;)
	{
		int			depth = 0;

		if (*p == ';' || isspace((unsigned char) *p))
			p++;
		else if (p[0] == '-' && p[1] == '-')
			p += strcspn(p, "\n");
		else if (p[0] == '/' && p[1] == '*')
		{
			do
			{
				if (p[0] == '/' && p[1] == '*')
				{
					depth++;
					p += 2;
				}
				else if (p[0] == '*' && p[1] == '/')
				{
					depth--;
					p += 2;
				}
				else
					p++;
			} while (depth > 0 && *p);
		}
		else
			return p - text;
	}
}

static int
line_of(const char *text, int location)
{
	int			line = 1;
	int			i;

	for (i = 0; i < location; i++)
		if (text[i] == '\n')
			line++;
	return line;
}

static void
say_where(const ScriptPosition *position, int location)
{
	int			line = line_of(position->text, location);
	const IuScriptFile *file = position->files;

	if (file == NULL)
	{
		errcontext("%s, line %d", position->label, line);
		return;
	}
	while (file[1].name != NULL && file[1].first_line <= line)
		file++;
	errcontext("%s, %s, line %d", position->label, file->name, line - file->first_line + 1);
}

/*
 * What PostgreSQL says of a name that is taken does not say what to do about
 * it: a migration makes everything anew and takes nothing over.
 */
static void
advise_on_taken_names(void)
{
	int			code = geterrcode();

	if (code == ERRCODE_DUPLICATE_TABLE || code == ERRCODE_DUPLICATE_FUNCTION ||
		code == ERRCODE_DUPLICATE_OBJECT || code == ERRCODE_DUPLICATE_SCHEMA)
		errhint("No migration made it. Rename or remove it if nothing needs it, then migrate again.");
}

static void
name_the_line(void *arg)
{
	ScriptPosition *position = (ScriptPosition *) arg;
	int			location = position->location;
	int			reported = geterrposition();

	if (position->finished)
	{
		errcontext("%s, constraints checked at its end", position->label);
		return;
	}
	if (reported > 0)
	{
		/*
		 * Characters in the script, which the client would take for a place
		 * in the query that it sent.
		 */
		location = pg_mbcharcliplen(position->text, strlen(position->text), reported - 1);
		errposition(0);
		if (position->parsing && position->text[location] == '\\')
			errhint("A migration script is plain SQL: it has no psql commands.");
	}
	advise_on_taken_names();
	if (location >= 0)
		say_where(position, location);
	else
		errcontext("%s", position->label);
}

static void
refuse_if_unfit(Node *statement)
{
	if (IsA(statement, TransactionStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a migration script does not control the transaction"),
				 errdetail("One run of the migrations is one transaction, all or nothing."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_script_transaction")));
	if (IsA(statement, CopyStmt) && ((CopyStmt *) statement)->filename == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a migration script has no COPY from or to the client"),
				 errhint("Use INSERT."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_script_copy")));
}

static void
run_statement(RawStmt *statement, const char *text)
{
	List	   *plans;
	Portal		portal;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	plans = pg_analyze_and_rewrite_fixedparams(statement, text, NULL, 0, NULL);
	plans = pg_plan_queries(plans, text, 0, NULL);
	PopActiveSnapshot();

	portal = CreateNewPortal();
	portal->visible = false;
	PortalDefineQuery(portal, NULL, text, CreateCommandTag(statement->stmt), plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	(void) iu_portal_run(portal);
	PortalDrop(portal, false);
}

/* An error puts back as whom the script runs. */
static void
run_fit_statement(RawStmt *statement, const char *text)
{
	IuIdentity	owner;

	if (!iu_makes_library_function(statement->stmt))
	{
		run_statement(statement, text);
		return;
	}
	owner = iu_become(BOOTSTRAP_SUPERUSERID);
	run_statement(copyObject(statement), text);
	CommandCounterIncrement();
	iu_give_library_function(statement->stmt, owner.user);
	iu_become_again(owner);
}

static void
run_statements(const char *text, ScriptPosition *position)
{
	MemoryContext script_memory = CurrentMemoryContext;
	MemoryContext statement_memory;
	List	   *statements;
	ListCell   *cell;

	position->text = text;
	position->location = -1;
	position->parsing = true;
	statements = pg_parse_query(text);
	position->parsing = false;

	foreach(cell, statements)
	{
		RawStmt    *statement = lfirst_node(RawStmt, cell);

		position->location = skip_to_statement(text, statement->stmt_location);
		refuse_if_unfit(statement->stmt);
	}

	statement_memory = AllocSetContextCreate(script_memory, "iu_core statement", ALLOCSET_DEFAULT_SIZES);
	foreach(cell, statements)
	{
		RawStmt    *statement = lfirst_node(RawStmt, cell);

		CHECK_FOR_INTERRUPTS();
		position->location = skip_to_statement(text, statement->stmt_location);
		MemoryContextSwitchTo(statement_memory);
		run_fit_statement(statement, text);
		MemoryContextSwitchTo(script_memory);
		MemoryContextReset(statement_memory);
	}
	position->location = -1;
	MemoryContextDelete(statement_memory);
}

/* SET CONSTRAINTS ALL IMMEDIATE, without its permission checks. */
void
iu_check_constraints_now(void)
{
	ConstraintsSetStmt *all_immediate = makeNode(ConstraintsSetStmt);

	AfterTriggerSetState(all_immediate);
	CommandCounterIncrement();
}

/*
 * Runs every statement of a script as the role, with settings pinned; an error
 * names label, file and line.
 */
void
iu_run_script(const char *label, const char *text, const IuScriptFile *files, Oid role)
{
	MemoryContext caller_memory = CurrentMemoryContext;
	MemoryContext script_memory;
	ScriptPosition position = {0};
	ErrorContextCallback callback;
	IuIdentity	caller;
	int			level;

	script_memory = AllocSetContextCreate(caller_memory, "iu_core script", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(script_memory);

	position.label = label;
	position.text = "";
	position.files = files;
	position.location = -1;
	callback.callback = name_the_line;
	callback.arg = &position;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	/* An error puts both back, with the (sub)transaction that it ends. */
	level = iu_pin_settings();
	caller = iu_become(role);

	run_statements(pg_any_to_server(text, strlen(text), PG_UTF8), &position);
	CommandCounterIncrement();
	position.finished = true;
	iu_check_constraints_now();

	iu_become_again(caller);
	AtEOXact_GUC(false, level);
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(caller_memory);
	MemoryContextDelete(script_memory);
}
