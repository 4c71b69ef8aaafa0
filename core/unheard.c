/*-------------------------------------------------------------------------
 *
 * unheard.c
 *	  Counts of events that were emitted and not written, because their type is
 *	  unknown, inactive or not for the caller.
 *
 * Whoever emits must not fail for it, nor wait: a row in a table would be one
 * that all of them want to change. So the counts are in shared memory, for the
 * last few types of all databases; they begin anew with the server, and count
 * what was rolled back as well. Where the library was not preloaded there is a
 * NOTICE and no count.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/compat.h"
#include "core/unheard.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_count_unheard);
PG_FUNCTION_INFO_V1(iu_forget_unheard);
PG_FUNCTION_INFO_V1(iu_unheard_events);

#define TYPES 64
#define TYPE_LENGTH 128

typedef struct Unheard
{
	Oid			database;		/* InvalidOid: nothing is counted here */
	char		domain[NAMEDATALEN];
	char		type[TYPE_LENGTH];
	char		reason[NAMEDATALEN];
	int64		times;
	TimestampTz last_at;
} Unheard;

typedef struct Shared
{
	LWLock	   *lock;			/* guards everything below */
	Unheard		types[TYPES];
} Shared;

typedef struct State
{
	Shared	   *shared;			/* NULL where the library was not preloaded */
	shmem_request_hook_type previous_request;
	shmem_startup_hook_type previous_startup;
	TimestampTz told_at;		/* start of the statement in which the last NOTICE was given */
} State;

static State state;

static void
request_memory(void)
{
	if (state.previous_request)
		state.previous_request();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Shared)));
	RequestNamedLWLockTranche("iu_core_unheard", 1);
}

static void
start_memory(void)
{
	bool		found;

	if (state.previous_startup)
		state.previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	state.shared = ShmemInitStruct("iu_core unheard events", sizeof(Shared), &found);
	if (!found)
	{
		memset(state.shared, 0, sizeof(Shared));
		state.shared->lock = &GetNamedLWLockTranche("iu_core_unheard")->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Registers what empties the list when a transaction ends; once a process. */
void
iu_unheard_init(void)
{
	state.previous_request = shmem_request_hook;
	shmem_request_hook = request_memory;
	state.previous_startup = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

/* A text argument, no longer than fits, whole characters only; NULL is empty. */
static void
copy_argument(char *to, int size, FunctionCallInfo fcinfo, int number)
{
	text	   *from;
	int			length;

	to[0] = '\0';
	if (PG_ARGISNULL(number))
		return;
	from = PG_GETARG_TEXT_PP(number);
	length = pg_mbcliplen(VARDATA_ANY(from), VARSIZE_ANY_EXHDR(from), size - 1);
	memcpy(to, VARDATA_ANY(from), length);
	to[length] = '\0';
}

/* Under the lock. Where a type of this database is counted; NULL: nowhere. */
static Unheard *
find_type(const Unheard *wanted)
{
	int			i;

	for (i = 0; i < TYPES; i++)
	{
		Unheard    *one = &state.shared->types[i];

		if (one->database == wanted->database && strcmp(one->domain, wanted->domain) == 0 &&
			strcmp(one->type, wanted->type) == 0)
			return one;
	}
	return NULL;
}

/* Under the lock. A place for another type: a free one, or that of the type that was silent for longest. */
static Unheard *
find_place(void)
{
	Unheard    *place = &state.shared->types[0];
	int			i;

	for (i = 0; i < TYPES && OidIsValid(place->database); i++)
	{
		Unheard    *one = &state.shared->types[i];

		if (!OidIsValid(one->database) || one->last_at < place->last_at)
			place = one;
	}
	return place;
}

static void
count(const Unheard *unheard)
{
	Unheard    *one;

	LWLockAcquire(state.shared->lock, LW_EXCLUSIVE);
	one = find_type(unheard);
	if (one == NULL)
	{
		one = find_place();
		*one = *unheard;
	}
	strlcpy(one->reason, unheard->reason, sizeof(one->reason));
	one->times++;
	one->last_at = unheard->last_at;
	LWLockRelease(state.shared->lock);
}

static void
tell(const Unheard *unheard)
{
	if (strcmp(unheard->reason, "inactive") == 0)
		ereport(NOTICE,
				(errmsg("event type \"%s.%s\" is not active: its event is not written",
						unheard->domain, unheard->type)));
	else if (strcmp(unheard->reason, "reserved") == 0)
		ereport(NOTICE,
				(errmsg("event type \"%s.%s\" is emitted by the product alone: this event is not written",
						unheard->domain, unheard->type)));
	else
		ereport(NOTICE,
				(errmsg("event type \"%s.%s\" is not registered: its event is not written",
						unheard->domain, unheard->type),
				 errhint("An administrator registers it with fn_iu_event_type_register.")));
}

/*
 * iu_core.count_unheard(event_domain, event_type, reason): counts an event that
 * was not written, and tells the client once a statement.
 */
Datum
iu_count_unheard(PG_FUNCTION_ARGS)
{
	Unheard		unheard = {0};

	unheard.database = MyDatabaseId;
	copy_argument(unheard.domain, sizeof(unheard.domain), fcinfo, 0);
	copy_argument(unheard.type, sizeof(unheard.type), fcinfo, 1);
	copy_argument(unheard.reason, sizeof(unheard.reason), fcinfo, 2);
	unheard.last_at = GetCurrentTimestamp();
	if (state.shared != NULL)
		count(&unheard);
	if (state.told_at != GetCurrentStatementStartTimestamp())
	{
		state.told_at = GetCurrentStatementStartTimestamp();
		tell(&unheard);
	}
	PG_RETURN_VOID();
}

/* iu_core.forget_unheard(event_domain, event_type): the type is known by now. */
Datum
iu_forget_unheard(PG_FUNCTION_ARGS)
{
	Unheard		wanted = {0};
	Unheard    *one;

	if (state.shared == NULL)
		PG_RETURN_VOID();
	wanted.database = MyDatabaseId;
	copy_argument(wanted.domain, sizeof(wanted.domain), fcinfo, 0);
	copy_argument(wanted.type, sizeof(wanted.type), fcinfo, 1);
	LWLockAcquire(state.shared->lock, LW_EXCLUSIVE);
	one = find_type(&wanted);
	if (one != NULL)
		one->database = InvalidOid;
	LWLockRelease(state.shared->lock);
	PG_RETURN_VOID();
}

/* iu_core.unheard_events: a row for each type of this database that is counted. */
Datum
iu_unheard_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Unheard    *copy = palloc(sizeof(state.shared->types));
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	if (state.shared == NULL)
		return (Datum) 0;
	LWLockAcquire(state.shared->lock, LW_SHARED);
	memcpy(copy, state.shared->types, sizeof(state.shared->types));
	LWLockRelease(state.shared->lock);
	for (i = 0; i < TYPES; i++)
	{
		Datum		values[5];
		bool		nulls[5] = {false};

		if (copy[i].database != MyDatabaseId)
			continue;
		values[0] = CStringGetTextDatum(copy[i].domain);
		values[1] = CStringGetTextDatum(copy[i].type);
		values[2] = CStringGetTextDatum(copy[i].reason);
		values[3] = Int64GetDatum(copy[i].times);
		values[4] = TimestampTzGetDatum(copy[i].last_at);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
