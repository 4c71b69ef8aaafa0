/*-------------------------------------------------------------------------
 *
 * remote.c
 *	  The HTTP client that the wrappers get in the fuzz target: what a remote
 *	  answers stands in the input, and what it is asked must be sound.
 *
 * The build (test/fuzz/build) has fdw/ call these instead of http/client.c, so
 * everything between an answer's bytes and the rows of a query is the real
 * code: the parser, the resources, paging, failures, the executor.
 *
 * An input is a line of answers, each a letter for status or outcome, then the
 * body up to a byte 0x1e; when they are used up, connections are lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "core/compat.h"
#include "http/client.h"
#include "mb/pg_wchar.h"
#include "nodes/pg_list.h"
#include "test/fuzz/fuzz.h"
#include "utils/memutils.h"

#define SEPARATOR 0x1e

struct IuHttpPool
{
	MemoryContext context;
	List	   *owners;			/* of what was asked and not yet answered */
	int			size;
};

/* What a letter stands for; any other byte is taken as one of these too. */
static const struct
{
	char		letter;
	int			status;
	IuHttpOutcome outcome;
	const char *content_type;
	int			retry_after;
}			kinds[] = {
	{'a', 200, IU_HTTP_ANSWERED, "application/json", -1},
	{'b', 400, IU_HTTP_ANSWERED, "application/json", -1},
	{'c', 401, IU_HTTP_ANSWERED, "text/plain", -1},
	{'d', 403, IU_HTTP_ANSWERED, "application/json", -1},
	{'e', 404, IU_HTTP_ANSWERED, "application/json", -1},
	{'f', 408, IU_HTTP_ANSWERED, "application/json", -1},
	{'g', 413, IU_HTTP_ANSWERED, NULL, -1},
	{'h', 422, IU_HTTP_ANSWERED, "application/json", -1},
	{'i', 429, IU_HTTP_ANSWERED, "application/json", 0},
	{'j', 431, IU_HTTP_ANSWERED, NULL, -1},
	{'k', 500, IU_HTTP_ANSWERED, "application/json; charset=utf-8", -1},
	{'l', 502, IU_HTTP_ANSWERED, "text/html", -1},
	{'m', 503, IU_HTTP_ANSWERED, "application/json", 7},
	{'n', 202, IU_HTTP_ANSWERED, "application/json", -1},
	{'o', 302, IU_HTTP_ANSWERED, NULL, -1},
	{'p', 304, IU_HTTP_ANSWERED, NULL, -1},
	{'q', 0, IU_HTTP_CONNECT, NULL, -1},
	{'r', 200, IU_HTTP_TOO_LARGE, "application/json", -1},
	{'s', 0, IU_HTTP_TIMEOUT, NULL, -1},
	{'t', 0, IU_HTTP_PROTOCOL, NULL, -1},
	{'u', 200, IU_HTTP_RESET, "application/json", -1},
	{'v', 200, IU_HTTP_ANSWERED, "text/html; charset=utf-8", -1},
};

static const unsigned char *input;
static size_t input_left;
static size_t input_length;

void
iu_fuzz_answers(const unsigned char *data, size_t length)
{
	input = data;
	input_left = length;
	input_length = length;
}

static void
take_answer(IuHttpAnswer *answer)
{
	const unsigned char *end;
	size_t		length;
	int			kind;

	if (input_left == 0)
	{
		answer->outcome = IU_HTTP_RESET;
		answer->error = pstrdup("the fuzzer has no more to say");
		return;
	}
	for (kind = 0; kind < lengthof(kinds) && kinds[kind].letter != *input; kind++)
		;
	if (kind == lengthof(kinds))
		kind = *input % lengthof(kinds);
	input++;
	input_left--;

	end = memchr(input, SEPARATOR, input_left);
	length = end ? end - input : input_left;
	appendBinaryStringInfo(&answer->body, (const char *) input, length);
	length += end != NULL;
	input += length;
	input_left -= length;

	answer->outcome = kinds[kind].outcome;
	answer->status = kinds[kind].status;
	answer->retry_after = kinds[kind].retry_after;
	answer->content_type = kinds[kind].content_type ? pstrdup(kinds[kind].content_type) : NULL;
	if (answer->outcome != IU_HTTP_ANSWERED)
		answer->error = pstrdup("the fuzzer says so");
}

/* Whatever came in before, what goes out must be a request that can be read. */
static void
check_request(const IuHttpRequest *request)
{
	const char *c;
	JsonLexContext *lexer;

	iu_fuzz_require(strcmp(request->method, "GET") == 0 || strcmp(request->method, "POST") == 0 ||
					strcmp(request->method, "SEARCH") == 0, "a method that only reads");
	iu_fuzz_require(strncmp(request->url, IU_FUZZ_URL "/", strlen(IU_FUZZ_URL) + 1) == 0,
					"a request goes to the server's url");
	for (c = request->url; *c != '\0'; c++)
		iu_fuzz_require(*c > ' ' && *c <= '~' && *c != '#' && *c != '"', "a URL holds only what a URL may hold");
	iu_fuzz_require(strstr(request->url, "/../") == NULL && strstr(request->url, "/./") == NULL,
					"a URL stays below its path");
	if (request->body == NULL)
		return;
	iu_fuzz_require(strlen(request->body) == request->body_length, "a body has the length it is said to have");
	iu_fuzz_require(pg_verify_mbstr(PG_UTF8, request->body, request->body_length, true), "a body is UTF-8");
	lexer = iu_json_lexer(unconstify(char *, request->body), request->body_length);
	iu_fuzz_require(pg_parse_json(lexer, &nullSemAction) == JSON_SUCCESS, "a body is JSON");
}

IuHttpPool *
iu_fuzz_pool_create(MemoryContext context, int max_in_flight)
{
	IuHttpPool *pool = MemoryContextAllocZero(context, sizeof(IuHttpPool));

	pool->context = context;
	pool->size = max_in_flight;
	return pool;
}

int
iu_fuzz_pool_size(const IuHttpPool *pool)
{
	return pool->size;
}

int
iu_fuzz_pending(const IuHttpPool *pool)
{
	return list_length(pool->owners);
}

void
iu_fuzz_submit(IuHttpPool *pool, const IuHttpRequest *request)
{
	MemoryContext old;

	check_request(request);
	old = MemoryContextSwitchTo(pool->context);
	pool->owners = lappend(pool->owners, request->owner);
	MemoryContextSwitchTo(old);
}

void
iu_fuzz_start(IuHttpPool *pool)
{
}

IuHttpEvent
iu_fuzz_wait(IuHttpPool *pool, long wait_ms, uint32 wait_event, IuHttpAnswer **answer)
{
	iu_fuzz_require(pool->owners != NIL, "nobody waits where nothing was asked");
	iu_fuzz_require(MemoryContextMemAllocated(TopTransactionContext, true) < 64 * 1024 * 1024 + 200 * input_length,
					"memory is bounded by what was answered");

	*answer = palloc0(sizeof(IuHttpAnswer));
	(*answer)->owner = linitial(pool->owners);
	(*answer)->retry_after = -1;
	(*answer)->microseconds = 1;
	initStringInfo(&(*answer)->body);
	pool->owners = list_delete_first(pool->owners);
	take_answer(*answer);
	return IU_HTTP_EVENT_ANSWER;
}

IuHttpAnswer *
iu_fuzz_perform(IuHttpPool *pool, const IuHttpRequest *request, uint32 wait_event)
{
	IuHttpAnswer *answer;

	iu_fuzz_submit(pool, request);
	iu_fuzz_wait(pool, -1, wait_event, &answer);
	return answer;
}
