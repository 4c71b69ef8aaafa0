/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  Connections that outlive a statement.
 *
 * A pool belongs to one scan at a time: its memory context hangs below the
 * scan's, so an error or a cancel closes its connections with everything that
 * is still outstanding on them. Only a scan that ended in order gives its pool
 * back, to a short list of idle ones.
 *
 * Secrets travel with each request and not with a connection, so pools are not
 * kept apart by user. They are kept apart by the egress settings: an address
 * is checked when connecting, and a kept connection must not outlive the
 * permission.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/pool.h"
#include "storage/fd.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define IDLE_POOLS 4
#define IDLE_CONNECTIONS 128	/* a process may have some 300 descriptors of this sort */
#define USUAL_DESCRIPTORS 40
#define IDLE_BYTES (1024 * 1024)	/* a pool that grew over this is not kept */

static IuPool *idle[IDLE_POOLS];	/* the longest idle first */
static int	idle_count = 0;
static bool idle_stale = false;

/* Callbacks run at odd moments: only note it. */
static void
server_changed(Datum argument, int cache, uint32 hash)
{
	idle_stale = true;
}

static void
forget_idle(int i)
{
	MemoryContextDelete(idle[i]->context);
	idle_count--;
	memmove(&idle[i], &idle[i + 1], (idle_count - i) * sizeof(idle[0]));
}

static char *
current_policy(void)
{
	const char *origins = GetConfigOption("iu_core.allowed_origins", true, false);
	const char *networks = GetConfigOption("iu_core.allowed_networks", true, false);

	return psprintf("%s\n%s", origins ? origins : "", networks ? networks : "");
}

/*
 * An idle pool of this server that is large enough, taken off the list; NULL
 * for none. It is no larger than the server's option, which it was made under.
 */
static IuPool *
find_idle(Oid server, int connections, const char *policy)
{
	int			i;

	for (i = idle_count - 1; i >= 0; i--)
		if (idle_stale || strcmp(idle[i]->policy, policy) != 0)
			forget_idle(i);
	idle_stale = false;

	for (i = idle_count - 1; i >= 0; i--)
	{
		IuPool	   *pool = idle[i];

		if (pool->server != server || pool->connections < connections)
			continue;
		idle_count--;
		memmove(&idle[i], &idle[i + 1], (idle_count - i) * sizeof(idle[0]));
		return pool;
	}
	return NULL;
}

/* Each pool reserves descriptors for all its connections: make room. */
static void
limit_idle(int pools, int connections)
{
	int			i;

	for (i = 0; i < idle_count; i++)
		connections += idle[i]->connections;
	while (idle_count > 0 && (idle_count > pools || connections > IDLE_CONNECTIONS))
	{
		connections -= idle[0]->connections;
		forget_idle(0);
	}
}

static bool
has_room(void)
{
	int			count = 0;
	bool		result;

	while (count < USUAL_DESCRIPTORS && AcquireExternalFD())
		count++;
	result = count == USUAL_DESCRIPTORS;
	for (; count > 0; count--)
		ReleaseExternalFD();
	return result;
}

/* What is kept only for later gives way. */
bool
iu_pool_has_room(void)
{
	while (!has_room())
	{
		if (idle_count == 0)
			return false;
		forget_idle(0);
	}
	return true;
}

IuPool *
iu_pool_take(MemoryContext context, Oid server, int connections)
{
	static bool registered = false;
	char	   *policy = current_policy();
	IuPool	   *pool;
	MemoryContext own;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, server_changed, (Datum) 0);
		registered = true;
	}

	pool = find_idle(server, connections, policy);
	if (pool != NULL)
	{
		pfree(policy);			/* a scan takes one per rescan */
		MemoryContextSetParent(pool->context, context);
		return pool;
	}

	limit_idle(IDLE_POOLS, connections);
	(void) iu_pool_has_room();
	own = AllocSetContextCreate(context, "iu_core connections", ALLOCSET_SMALL_SIZES);
	pool = MemoryContextAllocZero(own, sizeof(IuPool));
	pool->context = own;
	pool->server = server;
	pool->connections = connections;
	pool->policy = MemoryContextStrdup(own, policy);
	pfree(policy);
	pool->http = iu_http_pool_create(own, connections);
	return pool;
}

void
iu_pool_give_back(IuPool *pool)
{
	if (iu_http_pending(pool->http) > 0 ||
		MemoryContextMemAllocated(pool->context, true) > IDLE_BYTES)
	{
		MemoryContextDelete(pool->context);
		return;
	}
	limit_idle(IDLE_POOLS - 1, pool->connections);
	MemoryContextSetParent(pool->context, TopMemoryContext);
	idle[idle_count++] = pool;
}
