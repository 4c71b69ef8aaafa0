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
 * kept apart by user. They are kept apart by the settings that say what may be
 * reached: an address is checked when connecting, and a connection that is kept
 * must not outlive the permission.
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
#define USUAL_DESCRIPTORS 40	/* that a pool takes */
#define IDLE_BYTES (1024 * 1024)	/* a pool that grew over this is not kept */

/* The pools of this process that no scan has. */
static struct
{
	IuPool	   *pools[IDLE_POOLS];	/* the longest idle first */
	int			count;
	bool		stale;			/* a foreign server has changed: none may be used */
	bool		registered;		/* server_changed is called */
} idle;

/* Called at moments when nothing may be closed: notes only that a server has changed. */
static void
server_changed(Datum argument, int cache, uint32 hash)
{
	idle.stale = true;
}

/* Takes an idle pool off the list. */
static IuPool *
remove_idle(int i)
{
	IuPool	   *pool = idle.pools[i];

	idle.count--;
	memmove(&idle.pools[i], &idle.pools[i + 1], (idle.count - i) * sizeof(idle.pools[0]));
	return pool;
}

static void
close_idle(int i)
{
	MemoryContextDelete(remove_idle(i)->context);
}

/* The settings that say what may be reached, as one text. */
static char *
current_policy(void)
{
	const char *origins = GetConfigOption("iu_core.allowed_origins", true, false);
	const char *networks = GetConfigOption("iu_core.allowed_networks", true, false);

	return psprintf("%s\n%s", origins ? origins : "", networks ? networks : "");
}

/*
 * Takes an idle pool of this server that has at least so many connections off
 * the list; NULL for none. All idle pools that may not be used any more are
 * closed.
 */
static IuPool *
take_idle(Oid server, int connections, const char *policy)
{
	int			i;

	for (i = idle.count - 1; i >= 0; i--)
		if (idle.stale || strcmp(idle.pools[i]->policy, policy) != 0)
			close_idle(i);
	idle.stale = false;

	for (i = idle.count - 1; i >= 0; i--)
		if (idle.pools[i]->server == server && idle.pools[i]->connections >= connections)
			return remove_idle(i);
	return NULL;
}

/*
 * Closes idle pools, the longest idle first, until there are no more than so
 * many, and so few that another one of so many connections fits beside them:
 * each pool reserves descriptors for all its connections.
 */
static void
limit_idle(int pools, int connections)
{
	int			i;

	for (i = 0; i < idle.count; i++)
		connections += idle.pools[i]->connections;
	while (idle.count > 0 && (idle.count > pools || connections > IDLE_CONNECTIONS))
	{
		connections -= idle.pools[0]->connections;
		close_idle(0);
	}
}

static bool
are_descriptors_left(void)
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

/*
 * Whether another pool of a usual size would find descriptors enough. Idle
 * pools, which are kept only for later, are closed where they are in its way.
 */
bool
iu_pool_has_room(void)
{
	while (!are_descriptors_left())
	{
		if (idle.count == 0)
			return false;
		close_idle(0);
	}
	return true;
}

/*
 * A pool for the caller alone, which dies with the context unless it is given
 * back: an idle one, or a new one.
 *
 * server: the foreign server; connections: how many there shall be at least.
 */
IuPool *
iu_pool_take(MemoryContext context, Oid server, int connections)
{
	char	   *policy = current_policy();
	IuPool	   *pool;
	MemoryContext own;

	if (!idle.registered)
	{
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, server_changed, (Datum) 0);
		idle.registered = true;
	}

	pool = take_idle(server, connections, policy);
	if (pool != NULL)
	{
		pfree(policy);			/* a scan takes a pool at each rescan */
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

/*
 * Gives a pool back. It is kept for the next scan unless something is still
 * outstanding or it has grown large; then it is closed.
 */
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
	idle.pools[idle.count++] = pool;
}
