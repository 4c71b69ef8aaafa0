/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  The fast gate check: is this capability open, right now, for real?
 *
 * A gate is effectively open only if its dot_config value is 'true' and either
 *
 *	  - its last ledger row is an open that has not expired, is not dated in the
 *		future, and was made in this very place (place.c), by the transaction
 *		that it names: a row that came with a dump was not; and the approval on
 *		which it was made has not been revoked; or
 *	  - the value went from 'false' to 'true' in this very transaction, which
 *		may open a gate for itself and closes it by its end.
 *
 * Everything else, every missing row and every surprise included, is closed.
 *
 * Triggers on the busiest tables ask this question, so what was found is
 * remembered. A change of the tables it rests on makes every session forget
 * that: the triggers iu_core.gate_changed, before and after each statement, send
 * relation invalidations, and so does whoever renames or moves a table or an
 * index; of a schema that is renamed the catalog tells. A gate
 * remembered as closed is closed without a look at any table. A gate remembered
 * as open is looked at each time: a fresh snapshot, under whatever isolation
 * level, must still see the very version of the dot_config row that was open,
 * and every change of a gate by the protocol makes a new version. So a close
 * that another session commits holds from the next question on. A revocation is
 * looked for each time too: it needs no row that somebody else could keep.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/gate.h"
#include "core/gate_reading.h"
#include "core/slots.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(iu_gate_is_open);

#define GATE_KEY_LENGTH 128		/* of a longer key nothing is remembered */
#define CACHE_LIMIT 1024		/* keys; unknown ones could fill it without end */

typedef struct KnownGate
{
	char		key[GATE_KEY_LENGTH];
	IuSpan		open;			/* until 0: closed */
	IuGateVersion version;		/* of its row of dot_config, if open */
	pg_uuid_t	approval;		/* on which it was opened, if open */
} KnownGate;

/* What this process has found out. */
typedef struct GateCache
{
	uint64		generation;		/* grows whenever it is forgotten */
	IuGateTable config;
	IuGateTable registry;
	IuGateTable ledger;
	IuGateTable revocations;
	HTAB	   *gates;			/* of KnownGate; NULL: none */
} GateCache;

static GateCache cache = {
	.config = {"dot_config", "dot_config_pkey", {{"key", TEXTOID}, {"value", TEXTOID}}},
	.registry = {"iu_gate_registry", "iu_gate_registry_pkey", {{"gate_key", TEXTOID}, {"gate_class", TEXTOID}}},
	.ledger = {
		"iu_gate_transition",
		"ix_iu_gate_transition_last",
		{
			{"gate_key", TEXTOID},
			{"action", TEXTOID},
			{"expires_at", TIMESTAMPTZOID},
			{"place", UUIDOID},
			{"created_at", TIMESTAMPTZOID},
			{"written_by", XIDOID},
			{"approval_id", UUIDOID},
		},
		"transition_seq",
	},
	.revocations = {"iu_gate_revocation", "ix_iu_gate_revocation_approval", {{"approval_id", UUIDOID}}},
};

static bool
all_tables_known(void)
{
	return OidIsValid(cache.config.relation) && OidIsValid(cache.registry.relation) &&
		OidIsValid(cache.ledger.relation) && OidIsValid(cache.revocations.relation);
}

static bool
is_part_of(const IuGateTable *table, Oid relation)
{
	return relation == table->relation || relation == table->index;
}

static void
forget_all(void)
{
	cache.generation++;
	cache.config.relation = cache.registry.relation = cache.ledger.relation = InvalidOid;
	cache.revocations.relation = InvalidOid;
	if (cache.gates != NULL)
	{
		hash_destroy(cache.gates);
		cache.gates = NULL;
	}
}

/* Any table may be one that is being looked for, so until all are known every change counts. */
static void
on_relation_change(Datum arg, Oid relation)
{
	if (!OidIsValid(relation) || !all_tables_known() || is_part_of(&cache.config, relation) ||
		is_part_of(&cache.registry, relation) || is_part_of(&cache.ledger, relation) ||
		is_part_of(&cache.revocations, relation))
		forget_all();
}

/* The tables are found by name, and a schema that is renamed changes no table. */
static void
on_schema_change(Datum arg, int syscache, uint32 hash)
{
	forget_all();
}

/* Called once in each process that loads the library, or in the postmaster for all. */
void
iu_gate_init(void)
{
	CacheRegisterRelcacheCallback(on_relation_change, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, on_schema_change, (Datum) 0);
}

/* Finds a table. If anything changes meanwhile it is looked for again. */
static bool
find_table(IuGateTable *table)
{
	while (!OidIsValid(table->relation))
	{
		uint64		generation = cache.generation;
		bool		found = iu_gate_table_look_for(table);

		if (generation == cache.generation)
			return found;
		table->relation = InvalidOid;
	}
	return true;
}

/*
 * Locks a table and copies what is known of it to *locked. Until the lock is
 * granted the name may have become another table's; then the look-up starts
 * again. What is known may be forgotten at any time, so the caller needs a copy.
 */
static bool
lock_table(IuGateTable *table, IuGateTable *locked)
{
	while (find_table(table))
	{
		uint64		generation = cache.generation;

		*locked = *table;
		LockRelationOid(locked->relation, AccessShareLock);
		if (generation == cache.generation)
			return true;
		UnlockRelationOid(locked->relation, AccessShareLock);
	}
	return false;
}

/* Whether every change of the tables invalidates what this process remembers. */
static bool
all_tables_tell(const IuGateTables *tables)
{
	Oid			changed = LookupFuncName(list_make2(makeString("iu_core"), makeString("gate_changed")), 0, NULL, true);

	return OidIsValid(changed) && iu_gate_table_tells(&tables->config, changed) &&
		iu_gate_table_tells(&tables->registry, changed) && iu_gate_table_tells(&tables->ledger, changed) &&
		iu_gate_table_tells(&tables->revocations, changed);
}

/* Reads whether a gate is open, with locks that last to the end of the transaction. */
static IuGateFinding
look_up(Datum key)
{
	IuGateFinding finding = {0};
	IuGateTables tables;
	Snapshot	now;

	if (!lock_table(&cache.config, &tables.config) || !lock_table(&cache.registry, &tables.registry) ||
		!lock_table(&cache.ledger, &tables.ledger) || !lock_table(&cache.revocations, &tables.revocations))
		return finding;
	/* Only now: what committed while a lock was waited for must be seen. */
	now = RegisterSnapshot(GetLatestSnapshot());
	iu_gate_read(&tables, key, now, &finding);
	UnregisterSnapshot(now);
	finding.lasting = finding.lasting && finding.open && all_tables_tell(&tables);
	return finding;
}

/* ---- What is remembered ---- */

static HTAB *
known_gate_table(void)
{
	HASHCTL		control;

	memset(&control, 0, sizeof(control));
	control.keysize = GATE_KEY_LENGTH;
	control.entrysize = sizeof(KnownGate);
	return hash_create("iu_core known gates", 16, &control, HASH_ELEM | HASH_STRINGS);
}

static const KnownGate *
recall(const char *key)
{
	if (cache.gates == NULL || strlen(key) >= GATE_KEY_LENGTH)
		return NULL;
	return hash_search(cache.gates, key, HASH_FIND, NULL);
}

/*
 * Keeps what was found of a gate. Not while a table is missing, since its
 * creation would invalidate nothing, and not if something has changed since the
 * generation in which the question was asked.
 */
static void
remember(const char *key, const IuGateFinding *finding, uint64 generation)
{
	KnownGate  *known;

	if (strlen(key) >= GATE_KEY_LENGTH || generation != cache.generation || !all_tables_known() ||
		(finding->open && !finding->lasting))
		return;
	/* Closed by the clock alone, which may be set: until the watchdog has closed it, it is looked at each time. */
	if (!finding->open && finding->opening.until != 0)
		return;
	if (cache.gates == NULL)
		cache.gates = known_gate_table();
	else if (hash_get_num_entries(cache.gates) >= CACHE_LIMIT)
		return;
	known = hash_search(cache.gates, key, HASH_ENTER, NULL);
	known->open = finding->opening;
	if (!finding->open)
		known->open.until = 0;
	known->version = finding->version;
	known->approval = finding->approval;
}

/* Whether a gate that is remembered as open still is: nothing has changed it, and its end has not come. */
static bool
is_still_open(KnownGate known)
{
	uint64		generation = cache.generation;
	IuGateTable config;
	IuGateTable revocations;
	Snapshot	now;
	bool		stands;

	/* A change that committed before the locks were granted has been told by now. */
	if (!lock_table(&cache.config, &config) || !lock_table(&cache.revocations, &revocations) ||
		generation != cache.generation)
		return false;
	now = RegisterSnapshot(GetLatestSnapshot());
	stands = iu_gate_version_is_visible(&config, &known.version, now) &&
		!iu_gate_row_may_exist(&revocations, UUIDPGetDatum(&known.approval), now);
	UnregisterSnapshot(now);
	return stands && iu_span_is_now(known.open);
}

/*
 * Whether a gate is effectively open now. Needs a transaction. False whenever
 * anything is missing or unknown.
 */
bool
iu_gate_is_effectively_open(const char *key)
{
	const KnownGate *known;
	uint64		generation;
	IuGateFinding finding;
	Datum		name;

	/*
	 * Without shared memory and a launcher no watchdog runs that would close it,
	 * so nothing is open. While the server recovers this is no place of its own
	 * yet; nothing is remembered from then.
	 */
	if (iu_shared == NULL || !iu_shared->launcher_registered || RecoveryInProgress())
		return false;

	AcceptInvalidationMessages();
	known = recall(key);
	if (known != NULL && known->open.until == 0)
		return false;

	if (IsInParallelMode())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot read a gate during a parallel operation"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_gate_parallel")));

	if (known != NULL && is_still_open(*known))
		return true;
	generation = cache.generation;
	name = CStringGetTextDatum(key);
	finding = look_up(name);
	pfree(DatumGetPointer(name));
	remember(key, &finding, generation);
	return finding.open;
}

/* iu_core.gate_is_open(text). */
Datum
iu_gate_is_open(PG_FUNCTION_ARGS)
{
	char	   *key;
	bool		open;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	key = text_to_cstring(PG_GETARG_TEXT_PP(0));
	open = iu_gate_is_effectively_open(key);
	pfree(key);
	PG_RETURN_BOOL(open);
}

/* The key of some registered gate whose value is true; NULL: there is none. */
static char *
first_true_gate(const IuGateTable *config, const IuGateTable *registry, Snapshot now)
{
	Relation	relation = table_open(registry->relation, NoLock);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	TableScanDesc scan = table_beginscan(relation, now, 0, NULL);
	char	   *found = NULL;

	while (found == NULL && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		own;
		IuGateVersion version;
		bool		null;
		Datum		key = slot_getattr(slot, registry->attributes[IU_REGISTRY_KEY], &null);

		if (!null && iu_gate_value_is_true(config, key, now, &own, &version))
			found = TextDatumGetCString(key);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(relation, NoLock);
	return found;
}

/*
 * The key, palloc'd, of a registered gate whose value is true, effective or not.
 * NULL: there is none, or a table is missing, so that every gate reads closed.
 */
char *
iu_gate_any_true(void)
{
	IuGateTable config;
	IuGateTable registry;
	Snapshot	now;
	char	   *found;

	if (!lock_table(&cache.config, &config) || !lock_table(&cache.registry, &registry) ||
		!find_table(&cache.ledger) || !find_table(&cache.revocations))
		return NULL;
	now = RegisterSnapshot(GetLatestSnapshot());
	found = first_true_gate(&config, &registry, now);
	UnregisterSnapshot(now);
	return found;
}
