/*-------------------------------------------------------------------------
 *
 * fuzz.c
 *	  libFuzzer inside a backend: what remotes may answer, read by the queries
 *	  of fuzz.sql.
 *
 * The first byte of an input chooses the query, the rest is what the remote
 * answers (remote.c). Each query runs in a subtransaction that is rolled back.
 * A query may fail, with one of the SQLSTATEs that a bad answer may lead to;
 * what it hands over must hold what require() demands below.
 *
 * Only the fuzz build holds this; "make install" never sees it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "parser/parser.h"
#include "test/fuzz/fuzz.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include <signal.h>

#define MAX_QUERIES 64
#define LEAK_EVERY 4096			/* runs between two looks at the session's memory */
#define LEAK_BYTES (32 * 1024 * 1024)

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv, int (*run) (const uint8_t *data, size_t size));

typedef struct FuzzQuery
{
	char		letter;
	char	   *text;
	SPIPlanPtr	plan;			/* NULL: an IMPORT FOREIGN SCHEMA */
} FuzzQuery;

static FuzzQuery queries[MAX_QUERIES];
static int	query_count;
static const FuzzQuery *current;
static const unsigned char *answers;
static size_t answers_length;
static int64 rows_seen;
static int64 errors_seen;

PG_FUNCTION_INFO_V1(iu_fuzz);

void
iu_fuzz_require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "\nfuzz: does not hold: %s\nfuzz: in: %s\n", what, current ? current->text : "(no query)");
	abort();
}

static bool
holds_text(const char *text, size_t length)
{
	size_t		size = strlen(text);
	size_t		i;

	for (i = 0; i + size <= length; i++)
		if (memcmp(answers + i, text, size) == 0)
			return true;
	return false;
}

/* Escapes and exponents may spell a number that no digits of the answers do. */
static bool
spells_otherwise(void)
{
	size_t		i;

	if (memchr(answers, '\\', answers_length))
		return true;
	for (i = 1; i < answers_length; i++)
		if ((answers[i] == 'e' || answers[i] == 'E') && (isdigit(answers[i - 1]) || answers[i - 1] == '.'))
			return true;
	return false;
}

/* Nobody makes a number up. */
static void
check_count(Datum value)
{
	char		digits[32];

	iu_fuzz_require(DatumGetInt64(value) >= 0, "a count is not negative");
	snprintf(digits, sizeof(digits), INT64_FORMAT, DatumGetInt64(value));
	iu_fuzz_require(holds_text(digits, answers_length) || spells_otherwise(), "a count stands in an answer");
}

static void
check_text(const char *text, size_t length, const char *what)
{
	iu_fuzz_require(memchr(text, '\0', length) == NULL, "text holds no NUL");
	iu_fuzz_require(pg_verify_mbstr(GetDatabaseEncoding(), text, length, true), what);
}

static void
check_value(Form_pg_attribute attribute, Datum value)
{
	const char *name = NameStr(attribute->attname);

	if (attribute->atttypid == TEXTOID)
	{
		text	   *datum = DatumGetTextPP(value);

		check_text(VARDATA_ANY(datum), VARSIZE_ANY_EXHDR(datum), "text is of the database's encoding");
		if (strcmp(name, "error") == 0)
			iu_fuzz_require(strstr(text_to_cstring(datum), IU_FUZZ_SECRET) == NULL, "no secret in column \"error\"");
	}
	else if (attribute->atttypid == JSONBOID)
	{
		Jsonb	   *jsonb = DatumGetJsonbP(value);
		char	   *text = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));

		check_text(text, strlen(text), "jsonb is of the database's encoding");
		DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
	}
	else if (attribute->atttypid == INT8OID && strcmp(name, "points_approx") != 0 && strncmp(name, "field", 5) != 0)
		check_count(value);
}

static void
check_row(TupleDesc descriptor, HeapTuple row)
{
	bool		counted = false;
	bool		counts = false;
	bool		has_error = false;
	bool		failed = false;
	int			i;

	for (i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
		const char *name = NameStr(attribute->attname);
		bool		is_null;
		Datum		value = heap_getattr(row, i + 1, descriptor, &is_null);

		if (strcmp(name, "collection") == 0 || strcmp(name, "id") == 0 || strcmp(name, "count") == 0)
			iu_fuzz_require(!is_null, "collection, id and count(*) are never NULL");
		if (strcmp(name, "points") == 0 || strcmp(name, "items") == 0)
		{
			counts = true;
			counted = !is_null;
		}
		if (strcmp(name, "error") == 0)
		{
			has_error = true;
			failed = !is_null;
		}
		if (!is_null)
			check_value(attribute, value);
	}
	if (counts && has_error)
		iu_fuzz_require(counted || failed, "what has no count says why");
	rows_seen++;
}

/* What a remote can bring about, whatever it sends; anything else is our fault. */
static bool
may_happen(int sqlstate)
{
	static const int others[] = {
		ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, ERRCODE_INSUFFICIENT_PRIVILEGE,
		ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
		ERRCODE_INVALID_NAME, ERRCODE_UNTRANSLATABLE_CHARACTER, ERRCODE_STATEMENT_TOO_COMPLEX,
		ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE	/* of a sum of counts */
	};
	int			i;

	if (ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_FDW_ERROR)
		return true;
	for (i = 0; i < lengthof(others); i++)
		if (others[i] == sqlstate)
			return true;
	return false;
}

static void
check_words(const char *words)
{
	if (words == NULL)
		return;
	check_text(words, strlen(words), "a message is of the database's encoding");
	iu_fuzz_require(strstr(words, IU_FUZZ_SECRET) == NULL, "no secret in a message");
}

static void
check_error(const ErrorData *error)
{
	if (!may_happen(error->sqlerrcode))
		fprintf(stderr, "\nfuzz: %s: %s\n", unpack_sql_state(error->sqlerrcode), error->message);
	iu_fuzz_require(may_happen(error->sqlerrcode), "a failure has one of the known SQLSTATEs");
	check_words(error->message);
	check_words(error->detail);
	check_words(error->hint);
	check_words(error->context);
	errors_seen++;
}

/* One statement that makes a foreign table with different columns, whatever names the remote gave. */
static void
check_import(const char *command)
{
	List	   *statements = raw_parser(command, RAW_PARSE_DEFAULT);
	CreateForeignTableStmt *create;
	ListCell   *cell;
	ListCell   *other;

	iu_fuzz_require(list_length(statements) == 1, "what is imported is one statement");
	create = (CreateForeignTableStmt *) linitial_node(RawStmt, statements)->stmt;
	iu_fuzz_require(IsA(create, CreateForeignTableStmt), "what is imported is a foreign table");
	foreach(cell, create->base.tableElts)
	{
		const char *name = lfirst_node(ColumnDef, cell)->colname;

		check_text(name, strlen(name), "a column's name is of the database's encoding");
		iu_fuzz_require(strlen(name) < NAMEDATALEN, "a column's name is not too long");
		foreach(other, create->base.tableElts)
			iu_fuzz_require(cell == other || strcmp(name, lfirst_node(ColumnDef, other)->colname) != 0,
							"columns have different names");
	}
	rows_seen++;
}

/* The wrapper's part of IMPORT FOREIGN SCHEMA; tables made and rolled back a million times would bloat the catalogs. */
static void
run_import(const FuzzQuery *query)
{
	RawStmt    *statement = linitial_node(RawStmt, raw_parser(query->text, RAW_PARSE_DEFAULT));
	ImportForeignSchemaStmt *import = castNode(ImportForeignSchemaStmt, statement->stmt);
	Oid			server = get_foreign_server_oid(import->server_name, false);
	ListCell   *cell;

	foreach(cell, GetFdwRoutineByServerId(server)->ImportForeignSchema(import, server))
		check_import(lfirst(cell));
}

static void
run_query(const FuzzQuery *query)
{
	MemoryContext context = CurrentMemoryContext;
	uint64		i;

	if (query->plan == NULL)
	{
		run_import(query);
		return;
	}
	iu_fuzz_require(SPI_execute_plan(query->plan, NULL, NULL, true, 0) == SPI_OK_SELECT, "a query runs");
	MemoryContextSwitchTo(context); /* SPI left its own */
	for (i = 0; i < SPI_processed; i++)
		check_row(SPI_tuptable->tupdesc, SPI_tuptable->vals[i]);
}

/* The session does not grow by what it was answered. */
static void
check_leak(void)
{
	static int64 runs = 0;
	static Size before = 0;
	Size		now;

	if (++runs % LEAK_EVERY != 0)
		return;
	now = MemoryContextMemAllocated(TopMemoryContext, true);
	if (before == 0)
		before = now;
	if (now >= before + LEAK_BYTES)
		MemoryContextStats(TopMemoryContext);
	iu_fuzz_require(now < before + LEAK_BYTES, "the session does not grow");
}

static int
run(const uint8_t *data, size_t size)
{
	static MemoryContext context = NULL;
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			i;

	if (size == 0)
		return 0;
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "fuzz run", ALLOCSET_DEFAULT_SIZES);
	for (i = 0; i < query_count && queries[i].letter != data[0]; i++)
		;
	current = &queries[i < query_count ? i : data[0] % query_count];
	answers = data + 1;
	answers_length = size - 1;
	iu_fuzz_answers(answers, answers_length);

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		run_query(current);
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		check_error(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextReset(context);
	check_leak();
	return 0;
}

static void
read_queries(void)
{
	uint64		i;

	if (SPI_execute("SELECT letter, query FROM fuzz_query ORDER BY letter", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "the queries could not be read");
	for (i = 0; i < SPI_processed && i < MAX_QUERIES; i++)
	{
		FuzzQuery  *query = &queries[query_count++];

		query->letter = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1)[0];
		query->text = MemoryContextStrdup(TopMemoryContext,
										  SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2));
	}
	for (i = 0; i < query_count; i++)
	{
		if (pg_strncasecmp(queries[i].text, "IMPORT", 6) == 0)
			continue;
		queries[i].plan = SPI_prepare(queries[i].text, 0, NULL);
		if (queries[i].plan == NULL || SPI_keepplan(queries[i].plan) != 0)
			elog(ERROR, "a query could not be prepared");
	}
}

static void
report(void)
{
	fprintf(stderr, "fuzz: " INT64_FORMAT " rows and " INT64_FORMAT " errors were looked at\n", rows_seen, errors_seen);
}

/* iu_fuzz(VARIADIC text[]): libFuzzer's arguments. Does not return: libFuzzer exits. */
Datum
iu_fuzz(PG_FUNCTION_ARGS)
{
	Datum	   *words;
	int			count;
	int			i;
	char	  **argv;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &words, NULL, &count);
	argv = palloc0(sizeof(char *) * (count + 2));
	argv[0] = pstrdup("iu_fuzz");
	for (i = 0; i < count; i++)
		argv[i + 1] = TextDatumGetCString(words[i]);
	count++;

	SPI_connect();
	read_queries();
	pqsignal(SIGALRM, SIG_DFL); /* libFuzzer's from here on: an input that takes too long */
	atexit(report);
	LLVMFuzzerRunDriver(&count, &argv, run);
	PG_RETURN_VOID();
}
