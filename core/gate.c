/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  The fast gate check: is this capability open, right now, for real?
 *
 * A gate is effectively open only if its dot_config value is 'true' and either
 *
 *	  - its last ledger row is an open that has not expired and was made under
 *		this system identifier and database oid; or
 *	  - the value went from 'false' to 'true' in this very transaction, the
 *		bounded toggle of seeds 0, 1 and 3.
 *
 * Everything else, every missing row and every surprise included, is closed.
 *
 * The check stands in triggers on the busiest tables, so what was found is
 * remembered. Changes of the tables it rests on end that in every session: the
 * trigger iu_core.gate_changed sends relation invalidations. "Closed" is then
 * answered without a look. "Open" never is: each time a fresh snapshot, under
 * whatever isolation level, must still see the very version of the dot_config
 * row that was open, and every change of the gate by the protocol makes a new
 * one. So a close committed elsewhere holds from the next question on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/gate.h"
#include "core/gate_table.h"
#include "core/wake.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_gate_is_open);
PG_FUNCTION_INFO_V1(iu_gate_changed);

#define GATE_KEY_LENGTH 128		/* of a longer key nothing is remembered */
#define CACHE_LIMIT 1024		/* keys; unknown ones could fill it without end */

enum
{
	CONFIG_KEY,
	CONFIG_VALUE
};
enum
{
	REGISTRY_KEY,
	REGISTRY_CLASS
};
enum
{
	LEDGER_KEY,
	LEDGER_ACTION,
	LEDGER_EXPIRES,
	LEDGER_SYSTEM,
	LEDGER_DATABASE
};

static IuGateTable config_table = {
	"dot_config", "dot_config_pkey", {{"key", TEXTOID}, {"value", TEXTOID}}
};
static IuGateTable registry_table = {
	"iu_gate_registry", "iu_gate_registry_pkey", {{"gate_key", TEXTOID}, {"gate_class", TEXTOID}}
};
static IuGateTable ledger_table = {
	"iu_gate_transition",
	"ix_iu_gate_transition_last",
	{{"gate_key", TEXTOID}, {"action", TEXTOID}, {"expires_at", TIMESTAMPTZOID}, {"system_identifier", INT8OID}, {"database_oid", OIDOID}},
	"transition_seq",
};

typedef struct KnownGate
{
	char		key[GATE_KEY_LENGTH];
	TimestampTz open_until;		/* 0: closed */
	IuGateVersion version;		/* of its row of dot_config, if open */
} KnownGate;

static HTAB *known_gates = NULL;
static uint64 cache_generation = 0;

static bool
all_tables_known(void)
{
	return OidIsValid(config_table.relation) && OidIsValid(registry_table.relation) &&
		OidIsValid(ledger_table.relation);
}

/* While a table is being looked for, any change may be of it. */
static void
on_relation_change(Datum arg, Oid relation)
{
	if (OidIsValid(relation) && all_tables_known() && relation != config_table.relation &&
		relation != registry_table.relation && relation != ledger_table.relation)
		return;
	cache_generation++;
	config_table.relation = registry_table.relation = ledger_table.relation = InvalidOid;
	if (known_gates != NULL)
	{
		hash_destroy(known_gates);
		known_gates = NULL;
	}
}

void
iu_gate_init(void)
{
	CacheRegisterRelcacheCallback(on_relation_change, (Datum) 0);
}

/* What changes while it is looked for is looked for again. */
static bool
find_table(IuGateTable *table)
{
	while (!OidIsValid(table->relation))
	{
		uint64		generation = cache_generation;
		bool		found = iu_gate_table_look_for(table);

		if (generation == cache_generation)
			return found;
		table->relation = InvalidOid;
	}
	return true;
}

/*
 * Locks a table and says what it is. It may have become another one until the
 * lock was granted, and what is known of it may be forgotten at any time, so
 * the caller gets a copy.
 */
static bool
lock_table(IuGateTable *table, IuGateTable *locked)
{
	while (find_table(table))
	{
		uint64		generation = cache_generation;

		*locked = *table;
		LockRelationOid(locked->relation, AccessShareLock);
		if (generation == cache_generation)
			return true;
		UnlockRelationOid(locked->relation, AccessShareLock);
	}
	return false;
}

typedef struct Finding
{
	bool		open;
	TimestampTz open_until;		/* by the ledger; 0: not by it */
	bool		lasting;		/* holds for other transactions and until something changes */
	IuGateVersion version;
} Finding;

/* The value is 'true' now; did it read 'false' when this transaction began? */
static bool
was_false_before_this_transaction(const IuGateTable *config, Datum key, Snapshot now)
{
	SnapshotData before = *now;
	IuGateRow	row;
	bool		was_false;

	/* At command 0 of this transaction nothing of its own has happened yet. */
	before.curcid = FirstCommandId;
	was_false = iu_gate_row_find(&row, config, key, &before) &&
		iu_gate_row_says(&row, CONFIG_VALUE, "false");
	iu_gate_row_done(&row);
	return was_false;
}

static bool
value_is_true(const IuGateTable *config, Datum key, Snapshot now, bool *own, IuGateVersion *version)
{
	IuGateRow	row;
	bool		is_true = iu_gate_row_find(&row, config, key, now) &&
		iu_gate_row_says(&row, CONFIG_VALUE, "true");

	if (is_true)
	{
		*own = iu_gate_row_is_own(&row);
		*version = iu_gate_row_version(&row);
	}
	iu_gate_row_done(&row);
	return is_true;
}

static bool
is_governable(const IuGateTable *registry, Datum key, Snapshot now)
{
	IuGateRow	row;
	bool		governable = iu_gate_row_find(&row, registry, key, now) &&
		iu_gate_row_says(&row, REGISTRY_CLASS, "governable");

	iu_gate_row_done(&row);
	return governable;
}

/* The end of an opening that was made here, or 0. */
static TimestampTz
end_of_opening(const IuGateRow *row)
{
	bool		null[3];
	Datum		expires_at = iu_gate_row_value(row, LEDGER_EXPIRES, &null[0]);
	Datum		system = iu_gate_row_value(row, LEDGER_SYSTEM, &null[1]);
	Datum		database = iu_gate_row_value(row, LEDGER_DATABASE, &null[2]);

	if (null[0] || null[1] || null[2] || DatumGetInt64(system) != (int64) GetSystemIdentifier() ||
		DatumGetObjectId(database) != MyDatabaseId)
		return 0;
	return DatumGetTimestampTz(expires_at);
}

/* The end of the last change, if it is an opening; *own: an open of this transaction. */
static TimestampTz
open_by_the_ledger(const IuGateTable *ledger, Datum key, Snapshot now, bool *own)
{
	IuGateRow	row;
	bool		opening = iu_gate_row_find(&row, ledger, key, now) &&
		iu_gate_row_says(&row, LEDGER_ACTION, "open");
	TimestampTz end = opening ? end_of_opening(&row) : 0;

	*own = opening && iu_gate_row_is_own(&row);
	iu_gate_row_done(&row);
	return end;
}

static void
read_rows(const IuGateTable *config, const IuGateTable *registry, const IuGateTable *ledger,
		  Datum key, Snapshot now, Finding *finding)
{
	bool		own_value;
	bool		own_opening;

	if (!value_is_true(config, key, now, &own_value, &finding->version) ||
		!is_governable(registry, key, now))
		return;
	finding->open_until = open_by_the_ledger(ledger, key, now, &own_opening);
	finding->lasting = !own_value && !own_opening;
	finding->open = finding->open_until > GetCurrentTimestamp();
	/* What this transaction opened by the protocol is no toggle: it ends with its time. */
	if (!finding->open && own_value && !own_opening)
		finding->open = was_false_before_this_transaction(config, key, now);
}

/* Whether every change of what was read reaches us. */
static bool
all_tables_tell(const IuGateTable *config, const IuGateTable *registry, const IuGateTable *ledger)
{
	Oid			changed = LookupFuncName(list_make2(makeString("iu_core"), makeString("gate_changed")), 0, NULL, true);

	return OidIsValid(changed) && iu_gate_table_tells(config, changed) &&
		iu_gate_table_tells(registry, changed) && iu_gate_table_tells(ledger, changed);
}

static Finding
look_up(Datum key)
{
	Finding		finding = {0};
	IuGateTable config;
	IuGateTable registry;
	IuGateTable ledger;
	Snapshot	now;

	if (!lock_table(&config_table, &config) || !lock_table(&registry_table, &registry) ||
		!lock_table(&ledger_table, &ledger))
		return finding;
	/* Only now: what committed while a lock was waited for must be seen. */
	now = RegisterSnapshot(GetLatestSnapshot());
	read_rows(&config, &registry, &ledger, key, now, &finding);
	UnregisterSnapshot(now);
	finding.lasting = finding.lasting && finding.open && all_tables_tell(&config, &registry, &ledger);
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
	if (known_gates == NULL || strlen(key) >= GATE_KEY_LENGTH)
		return NULL;
	return hash_search(known_gates, key, HASH_FIND, NULL);
}

/*
 * Only if all tables are known, since the creation of a missing one would
 * invalidate nothing, and nothing changed since the question.
 */
static void
remember(const char *key, const Finding *finding, uint64 generation)
{
	KnownGate  *known;

	if (strlen(key) >= GATE_KEY_LENGTH || generation != cache_generation || !all_tables_known() ||
		(finding->open && !finding->lasting))
		return;
	if (known_gates == NULL)
		known_gates = known_gate_table();
	else if (hash_get_num_entries(known_gates) >= CACHE_LIMIT)
		return;
	known = hash_search(known_gates, key, HASH_ENTER, NULL);
	known->open_until = finding->open ? finding->open_until : 0;
	known->version = finding->version;
}

/* Whether nothing has happened to an opening that is known, its end included. */
static bool
is_still_open(KnownGate known)
{
	uint64		generation = cache_generation;
	IuGateTable config;
	Snapshot	now;
	bool		visible;

	/* What happened until the lock was granted was told with it. */
	if (!lock_table(&config_table, &config) || generation != cache_generation)
		return false;
	now = RegisterSnapshot(GetLatestSnapshot());
	visible = iu_gate_version_is_visible(&config, &known.version, now);
	UnregisterSnapshot(now);
	return visible && known.open_until > GetCurrentTimestamp();
}

bool
iu_gate_is_effectively_open(const char *key)
{
	const KnownGate *known;
	uint64		generation;
	Finding		finding;
	Datum		name;

	/* Without shared memory no watchdog can run, so nothing may be open. */
	if (iu_shared == NULL)
		return false;

	AcceptInvalidationMessages();
	known = recall(key);
	if (known != NULL && known->open_until == 0)
		return false;

	if (IsInParallelMode())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot read a gate during a parallel operation")));

	if (known != NULL && is_still_open(*known))
		return true;
	generation = cache_generation;
	name = CStringGetTextDatum(key);
	finding = look_up(name);
	pfree(DatumGetPointer(name));
	remember(key, &finding, generation);
	return finding.open;
}

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
		Datum		key = slot_getattr(slot, registry->attributes[REGISTRY_KEY], &null);

		if (!null && value_is_true(config, key, now, &own, &version))
			found = TextDatumGetCString(key);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(relation, NoLock);
	return found;
}

char *
iu_gate_any_true(void)
{
	IuGateTable config;
	IuGateTable registry;
	Snapshot	now;
	char	   *found;

	if (!lock_table(&config_table, &config) || !lock_table(&registry_table, &registry) ||
		!find_table(&ledger_table))
		return NULL;
	now = RegisterSnapshot(GetLatestSnapshot());
	found = first_true_gate(&config, &registry, now);
	UnregisterSnapshot(now);
	return found;
}

/*
 * Statement trigger on the three tables: forgets what other sessions cached
 * and wakes whoever acts on gates.
 */
Datum
iu_gate_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", "iu_core.gate_changed")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	iu_wake_at_commit(IU_WAKE(IU_WATCHDOG) | IU_WAKE_DELIVERY);
	PG_RETURN_POINTER(NULL);
}
