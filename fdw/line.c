/*-------------------------------------------------------------------------
 *
 * line.c
 *	  One user's line to one foreign server: requests go out and answers come.
 *
 * Everything hangs below the caller's memory context, so that an error or a
 * cancel needs no clean-up of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/line.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#define FEWEST_CONNECTIONS 4

/* Qdrant and Directus close a connection that is idle for 5 s; a request must not meet that. curl counts whole seconds. */
#define IDLE_SECONDS 3

/*
 * Who waits for the descriptor may not look at the latch, so we look after
 * cancels ourselves. (The Append of 15.20 does; older ones may not.)
 */
#define INTERRUPT_CHECK_MS 50

void
iu_line_open(IuLine *line, MemoryContext context, const IuServer *server, Oid user)
{
	memset(line, 0, sizeof(IuLine));
	line->context = context;
	line->server = server;
	line->user = user;
	line->connections = server->connections;
}

/* Every pool reserves descriptors for all its connections, and there may be many pools. */
void
iu_line_expect(IuLine *line, int requests)
{
	line->connections = Min(line->server->connections, Max(requests, FEWEST_CONNECTIONS));
}

/* Pool and headers, once something is to be asked. */
static void
connect_line(IuLine *line)
{
	MemoryContext old = MemoryContextSwitchTo(line->context);
	int			n = 0;

	if (line->headers == NULL)
	{
		const char **headers = palloc0(4 * sizeof(char *));

		line->secret = iu_server_secret(line->server, line->user);
		headers[n++] = "Accept: application/json";
		headers[n++] = "Content-Type: application/json";
		if (line->secret != NULL)
			headers[n++] = psprintf(line->server->remote->secret_header, line->secret);
		line->headers = headers;
	}
	line->pool = iu_pool_take(line->context, line->server->id, line->connections);
	MemoryContextSwitchTo(old);
}

void
iu_line_send(IuLine *line, const IuFetch *fetch, void *owner)
{
	IuHttpRequest request = {0};

	CHECK_FOR_INTERRUPTS();		/* there may be a million keys */
	if (line->pool == NULL)
		connect_line(line);
	request.method = fetch->method;
	request.url = psprintf("%s%s", line->server->url, fetch->path);
	request.headers = line->headers;
	if (fetch->body != NULL)
	{
		request.body = pg_server_to_any(fetch->body, strlen(fetch->body), PG_UTF8);
		request.body_length = strlen(request.body);
	}
	request.timeout_ms = line->server->timeout_ms;
	request.idle_s = IDLE_SECONDS;
	request.owner = owner;
	line->requests++;
	iu_http_submit(line->pool->http, &request);
}

void
iu_line_start(IuLine *line)
{
	if (line->pool != NULL)
		iu_http_start(line->pool->http);
}

int
iu_line_pending(const IuLine *line)
{
	return line->pool ? iu_http_pending(line->pool->http) : 0;
}

/* Who waits for the descriptor, waits no longer than until it is readable. */
static void
end_watch(IuLine *line)
{
	instr_time	now;

	if (INSTR_TIME_IS_ZERO(line->watched_from))
		return;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, line->watched_from);
	line->attended_us += Min((int64) INSTR_TIME_GET_MICROSEC(now), INTERRUPT_CHECK_MS * 1000);
	INSTR_TIME_SET_ZERO(line->watched_from);
}

IuHttpAnswer *
iu_line_wait(IuLine *line, bool patient)
{
	static uint32 wait_event = 0;
	IuHttpAnswer *answer = NULL;
	instr_time	start;
	instr_time	end;

	if (wait_event == 0)
		wait_event = iu_wait_event("IuCoreRemote");
	end_watch(line);
	INSTR_TIME_SET_CURRENT(start);
	if (iu_http_wait(line->pool->http, patient ? -1 : 0, wait_event, &answer) != IU_HTTP_EVENT_ANSWER)
		answer = NULL;
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	line->waited_us += INSTR_TIME_GET_MICROSEC(end);
	line->attended_us += INSTR_TIME_GET_MICROSEC(end);
	if (answer != NULL)
		line->bytes += answer->body.len;
	return answer;
}

int
iu_line_descriptor(IuLine *line)
{
	end_watch(line);
	INSTR_TIME_SET_CURRENT(line->watched_from);
	return iu_http_descriptor(line->pool->http, INTERRUPT_CHECK_MS);
}

const IuJson *
iu_line_document(const IuHttpAnswer *answer, char **problem)
{
	*problem = NULL;
	if (answer->outcome != IU_HTTP_ANSWERED || answer->body.len == 0)
		return NULL;
	return iu_json_parse(answer->body.data, answer->body.len, problem);
}

void
iu_line_close(IuLine *line)
{
	if (line->pool != NULL)
		iu_pool_give_back(line->pool);
	line->pool = NULL;
}
