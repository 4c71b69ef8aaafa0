/*-------------------------------------------------------------------------
 *
 * session.c
 *	  One user's session with one foreign server: requests go out, with the
 *	  user's secret, and answers come.
 *
 * Everything hangs below the caller's memory context, so that an error or a
 * cancel needs no clean-up of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/settings.h"
#include "fdw/secret.h"
#include "fdw/session.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#define FEWEST_OF_SESSION 4

/*
 * Qdrant and Directus close a connection that is idle for 5 s, and a request
 * must not go out on it at that moment. curl counts whole seconds.
 */
#define IDLE_SECONDS 3

/*
 * The longest time that the descriptor stays unreadable. Whoever waits for it
 * may not look for a cancel meanwhile: the Append of PostgreSQL 15.20 does,
 * that of older versions may not.
 */
#define INTERRUPT_CHECK_MS 50

/*
 * Begins a session, which connects to nothing yet.
 *
 * context: of all that it will hold; user: whose secret its requests carry.
 */
void
iu_session_open(IuSession *session, MemoryContext context, const IuServer *server, Oid user)
{
	memset(session, 0, sizeof(IuSession));
	session->context = context;
	session->server = server;
	session->user = user;
	session->connections = server->connections;
}

/*
 * Before the first request: says how many there will be at once, at most. A
 * pool reserves descriptors for all its connections, and there may be many
 * pools, so none should be larger than needed.
 */
void
iu_session_expect(IuSession *session, int requests)
{
	session->connections = Min(session->server->connections, Max(requests, FEWEST_OF_SESSION));
}

/* Gets the headers and a pool of connections, once something is to be asked. */
static void
connect_session(IuSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	int			n = 0;

	if (session->headers == NULL)
	{
		const char **headers = palloc0(4 * sizeof(char *));

		session->secret = iu_secret_of(session->server, session->user);
		headers[n++] = "Accept: application/json";
		headers[n++] = "Content-Type: application/json";
		if (session->secret != NULL)
			headers[n++] = psprintf(session->server->remote->secret_header, session->secret);
		session->headers = headers;
	}
	session->pool = iu_pool_take(session->context, session->server->id, session->connections);
	MemoryContextSwitchTo(old);
}

/*
 * Hands over a request, which goes out with the next iu_session_wait or
 * iu_session_start.
 *
 * owner: the caller's own, comes back with the answer.
 */
void
iu_session_send(IuSession *session, const IuFetch *fetch, void *owner)
{
	IuHttpRequest request = {0};

	CHECK_FOR_INTERRUPTS();		/* there may be a million keys */
	if (session->pool == NULL)
		connect_session(session);
	request.method = fetch->method;
	request.url = psprintf("%s%s", session->server->url, fetch->path);
	request.headers = session->headers;
	if (fetch->body != NULL)
	{
		request.body = pg_server_to_any(fetch->body, strlen(fetch->body), PG_UTF8);
		request.body_length = strlen(request.body);
	}
	request.timeout_ms = session->server->timeout_ms;
	request.idle_s = IDLE_SECONDS;
	request.authorities = session->server->authorities;
	request.owner = owner;
	session->requests++;
	iu_http_submit(session->pool->http, &request);
}

/*
 * How many seconds a request may take, rounded up: as option "timeout_ms" and
 * iu_core.request_timeout say, and no longer than the statement may run.
 */
int
iu_session_seconds(const IuSession *session)
{
	int64		ms = iu_request_timeout;

	if (session->server->timeout_ms > 0)
		ms = Min(ms, session->server->timeout_ms);
	if (get_timeout_active(STATEMENT_TIMEOUT))
	{
		TimestampTz end = get_timeout_finish_time(STATEMENT_TIMEOUT);

		ms = Min(ms, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end));
	}
	return (int) ((Max(ms, 1) + 999) / 1000);
}

/* Sends what has been handed over, without waiting for anything. */
void
iu_session_start(IuSession *session)
{
	if (session->pool != NULL)
		iu_http_start(session->pool->http);
}

/* How many requests have been handed over whose answers have not been handed back. */
int
iu_session_pending(const IuSession *session)
{
	return session->pool ? iu_http_pending(session->pool->http) : 0;
}

/*
 * Counts the time that somebody waited for the descriptor. Nobody waits for it
 * longer than until it is readable, so no more than that counts.
 */
static void
end_watch(IuSession *session)
{
	instr_time	now;

	if (INSTR_TIME_IS_ZERO(session->watched_from))
		return;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, session->watched_from);
	session->attended_us += Min((int64) INSTR_TIME_GET_MICROSEC(now), INTERRUPT_CHECK_MS * 1000);
	INSTR_TIME_SET_ZERO(session->watched_from);
}

/*
 * The next answer, in the current memory context. NULL if the latch was set
 * before one came; or if patient is false and none is there yet.
 */
IuHttpAnswer *
iu_session_wait(IuSession *session, bool patient)
{
	static uint32 wait_event = 0;
	IuHttpAnswer *answer = NULL;
	instr_time	start;
	instr_time	end;

	if (wait_event == 0)
		wait_event = iu_wait_event("IuCoreRemote");
	end_watch(session);
	INSTR_TIME_SET_CURRENT(start);
	if (iu_http_wait(session->pool->http, patient ? -1 : 0, wait_event, &answer) != IU_HTTP_EVENT_ANSWER)
		answer = NULL;
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	session->waited_us += INSTR_TIME_GET_MICROSEC(end);
	session->attended_us += INSTR_TIME_GET_MICROSEC(end);
	if (answer != NULL)
		session->bytes += answer->body.len;
	return answer;
}

/*
 * A descriptor for somebody who waits elsewhere: readable once an impatient
 * iu_session_wait is worth while. It stays the session's.
 */
int
iu_session_descriptor(IuSession *session)
{
	end_watch(session);
	INSTR_TIME_SET_CURRENT(session->watched_from);
	return iu_http_descriptor(session->pool->http, INTERRUPT_CHECK_MS);
}

/*
 * The body of an answer as JSON, whatever its status. NULL if it is none, and
 * then *problem says why, or is NULL where there is no body.
 *
 * nulls: what becomes of null characters; *marked: whether some were marked.
 */
const IuJson *
iu_session_document(const IuHttpAnswer *answer, IuNulls nulls, bool *marked, char **problem)
{
	StringInfo	body = unconstify(StringInfoData *, &answer->body);

	*problem = NULL;
	*marked = false;
	if (answer->outcome != IU_HTTP_ANSWERED || answer->body.len == 0)
		return NULL;
	if (iu_nulls_are_in(body))
	{
		body = iu_nulls_substitute(body, nulls);
		*marked = nulls == IU_NULLS_ERROR;
	}
	return iu_json_parse(body->data, body->len, problem);
}

/* Gives the connections back, which are kept for another session if nothing is outstanding. */
void
iu_session_close(IuSession *session)
{
	if (session->pool != NULL)
		iu_pool_give_back(session->pool);
	session->pool = NULL;
}
