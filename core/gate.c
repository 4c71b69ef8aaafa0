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
 * The check stands in triggers on the busiest tables, so "closed" is cached.
 * Changes of the tables it rests on reach the cache as relation invalidations,
 * sent by the trigger iu_core.gate_changed. "Open" is never cached: it is read
 * each time under a fresh snapshot, whatever the isolation level, so a close
 * committed elsewhere holds from the next question on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/gate.h"
#include "core/wake.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_gate_is_open);
PG_FUNCTION_INFO_V1(iu_gate_changed);
PG_FUNCTION_INFO_V1(iu_system_identifier);
PG_FUNCTION_INFO_V1(iu_database_oid);

#define GATE_KEY_LENGTH 128		/* a longer key is never cached, only looked up */
#define CACHE_LIMIT 1024		/* keys; unknown ones could fill it without end */

/*
 * A table that the check rests on, found by name, forgotten at invalidation.
 * Its index leads from a gate's key to its row, or to its newest row first.
 */
typedef struct GateTable
{
	const char *name;
	const char *index_name;
	struct
	{
		const char *name;
		Oid			type;
	}			columns[5];
	const char *newest_first;	/* second column of the index; NULL: none */
	Oid			relation;
	Oid			index;
	AttrNumber	attributes[5];
	AttrNumber	order;
} GateTable;

static GateTable config_table = {
	"dot_config", "dot_config_pkey", {{"key", TEXTOID}, {"value", TEXTOID}}
};
static GateTable registry_table = {
	"iu_gate_registry", "iu_gate_registry_pkey", {{"gate_key", TEXTOID}, {"gate_class", TEXTOID}}
};
static GateTable ledger_table = {
	"iu_gate_transition",
	"ix_iu_gate_transition_last",
	{{"gate_key", TEXTOID}, {"action", TEXTOID}, {"expires_at", TIMESTAMPTZOID}, {"system_identifier", INT8OID}, {"database_oid", OIDOID}},
	"transition_seq",
};

static HTAB *closed_gates = NULL;
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
	if (closed_gates != NULL)
	{
		hash_destroy(closed_gates);
		closed_gates = NULL;
	}
}

void
iu_gate_init(void)
{
	CacheRegisterRelcacheCallback(on_relation_change, (Datum) 0);
}

/* False where the table, its index or a column is not there, or is another than it should be. */
static bool
look_for_table(GateTable *table)
{
	Oid			schema = get_namespace_oid("public", true);
	Oid			relation = get_relname_relid(table->name, schema);
	int			i;

	table->index = get_relname_relid(table->index_name, schema);
	if (!OidIsValid(relation) || !OidIsValid(table->index) ||
		get_rel_relkind(relation) != RELKIND_RELATION || get_rel_relkind(table->index) != RELKIND_INDEX)
		return false;
	for (i = 0; i < lengthof(table->columns) && table->columns[i].name != NULL; i++)
	{
		table->attributes[i] = get_attnum(relation, table->columns[i].name);
		if (table->attributes[i] == InvalidAttrNumber ||
			get_atttype(relation, table->attributes[i]) != table->columns[i].type)
			return false;
	}
	table->order = table->newest_first == NULL ? InvalidAttrNumber : get_attnum(relation, table->newest_first);
	table->relation = relation;
	return true;
}

/* What changes while it is looked for is looked for again. */
static bool
find_table(GateTable *table)
{
	while (!OidIsValid(table->relation))
	{
		uint64		generation = cache_generation;
		bool		found = look_for_table(table);

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
lock_table(GateTable *table, GateTable *locked)
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

/* An index of the same name with another definition would give another row. */
static bool
leads_to_the_row(const GateTable *table, Relation index)
{
	Form_pg_index form = index->rd_index;

	return form->indrelid == table->relation && form->indisvalid &&
		index->rd_rel->relam == BTREE_AM_OID &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		form->indkey.values[0] == table->attributes[0] &&
		index->rd_opfamily[0] == TEXT_BTREE_FAM_OID &&
		(table->newest_first == NULL ||
		 (form->indnkeyatts > 1 && form->indkey.values[1] == table->order &&
		  (index->rd_indoption[1] & INDOPTION_DESC) != 0));
}

static void
copy_row(const GateTable *table, TupleTableSlot *slot, bool *own, Datum *values, bool *nulls)
{
	bool		null;
	Datum		xmin = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &null);
	int			i;

	*own = !null && TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin));
	for (i = 0; i < lengthof(table->columns) && table->columns[i].name != NULL; i++)
	{
		values[i] = slot_getattr(slot, table->attributes[i], &nulls[i]);
		if (!nulls[i] && table->columns[i].type == TEXTOID)
			values[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(values[i]));
	}
}

/*
 * The first row of a gate in a locked table that the snapshot sees, copied
 * into values, or false. *own says whether this transaction wrote the row.
 */
static bool
first_row(const GateTable *table, Datum key, Snapshot snapshot, bool *own, Datum *values, bool *nulls)
{
	Relation	relation = table_open(table->relation, NoLock);
	Relation	index = index_open(table->index, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	ScanKeyData condition;
	bool		found = false;

	if (leads_to_the_row(table, index))
	{
		IndexScanDesc scan = index_beginscan(relation, index, snapshot, NULL, 1, 0);

		ScanKeyInit(&condition, 1, BTEqualStrategyNumber, F_TEXTEQ, key);
		condition.sk_collation = index->rd_indcollation[0];
		index_rescan(scan, &condition, 1, NULL, 0);
		found = index_getnext_slot(scan, ForwardScanDirection, slot);
		if (found)
			copy_row(table, slot, own, values, nulls);
		index_endscan(scan);
	}
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, AccessShareLock);
	table_close(relation, NoLock);
	return found;
}

static bool
text_is(Datum value, bool null, const char *expected)
{
	text	   *actual = (text *) DatumGetPointer(value);
	size_t		length = strlen(expected);

	return !null && VARSIZE_ANY_EXHDR(actual) == length &&
		memcmp(VARDATA_ANY(actual), expected, length) == 0;
}

/* The value is 'true' now; did it read 'false' when this transaction began? */
static bool
was_false_before_this_transaction(const GateTable *config, Datum key, Snapshot now)
{
	SnapshotData before = *now;
	Datum		values[5];
	bool		nulls[5];
	bool		own;

	/* At command 0 of this transaction nothing of its own has happened yet. */
	before.curcid = FirstCommandId;
	return first_row(config, key, &before, &own, values, nulls) &&
		text_is(values[1], nulls[1], "false");
}

/* Whether the last change is an opening that holds; *own: an open of this transaction. */
static bool
ledger_says_open(const GateTable *ledger, Datum key, Snapshot now, bool *own)
{
	Datum		values[5];
	bool		nulls[5];
	bool		opening;

	if (!first_row(ledger, key, now, own, values, nulls))
		return false;
	opening = text_is(values[1], nulls[1], "open");
	*own = *own && opening;
	return opening &&
		!nulls[2] && DatumGetTimestampTz(values[2]) > GetCurrentTimestamp() &&
		!nulls[3] && DatumGetInt64(values[3]) == (int64) GetSystemIdentifier() &&
		!nulls[4] && DatumGetObjectId(values[4]) == MyDatabaseId;
}

static bool
rows_say_open(const GateTable *config, const GateTable *registry, const GateTable *ledger,
			  Datum key, Snapshot now)
{
	Datum		values[5];
	bool		nulls[5];
	bool		own_value;
	bool		own_class;
	bool		own_opening = false;

	if (!first_row(config, key, now, &own_value, values, nulls) ||
		!text_is(values[1], nulls[1], "true") ||
		!first_row(registry, key, now, &own_class, values, nulls) ||
		!text_is(values[1], nulls[1], "governable"))
		return false;

	/* What this transaction opened by the protocol is no toggle: it ends with its time. */
	return ledger_says_open(ledger, key, now, &own_opening) ||
		(own_value && !own_opening && was_false_before_this_transaction(config, key, now));
}

static bool
look_up(Datum key)
{
	GateTable	config;
	GateTable	registry;
	GateTable	ledger;
	Snapshot	now;
	bool		open = false;

	if (!lock_table(&config_table, &config))
		return false;
	if (lock_table(&registry_table, &registry))
	{
		if (lock_table(&ledger_table, &ledger))
		{
			/* Only now: what committed while a lock was waited for must be seen. */
			now = RegisterSnapshot(GetLatestSnapshot());
			open = rows_say_open(&config, &registry, &ledger, key, now);
			UnregisterSnapshot(now);
			UnlockRelationOid(ledger.relation, AccessShareLock);
		}
		UnlockRelationOid(registry.relation, AccessShareLock);
	}
	UnlockRelationOid(config.relation, AccessShareLock);
	return open;
}

static HTAB *
closed_gate_table(void)
{
	HASHCTL		control;

	memset(&control, 0, sizeof(control));
	control.keysize = GATE_KEY_LENGTH;
	control.entrysize = GATE_KEY_LENGTH;
	return hash_create("iu_core closed gates", 16, &control, HASH_ELEM | HASH_STRINGS);
}

bool
iu_gate_is_effectively_open(const char *key)
{
	bool		cacheable = strlen(key) < GATE_KEY_LENGTH;
	uint64		generation;
	MemoryContext scratch;
	MemoryContext caller;
	bool		open;

	/* Without shared memory no watchdog can run, so nothing may be open. */
	if (iu_shared == NULL)
		return false;

	AcceptInvalidationMessages();
	if (cacheable && closed_gates != NULL &&
		hash_search(closed_gates, key, HASH_FIND, NULL) != NULL)
		return false;

	if (IsInParallelMode())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot read a gate during a parallel operation")));

	generation = cache_generation;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "iu_core gate check", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(scratch);
	open = look_up(CStringGetTextDatum(key));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);

	/*
	 * Cached only if all tables are known, since the creation of a missing
	 * one would invalidate nothing, and nothing changed meanwhile.
	 */
	if (!open && cacheable && generation == cache_generation && all_tables_known())
	{
		if (closed_gates == NULL || hash_get_num_entries(closed_gates) < CACHE_LIMIT)
		{
			if (closed_gates == NULL)
				closed_gates = closed_gate_table();
			hash_search(closed_gates, key, HASH_ENTER, NULL);
		}
	}
	return open;
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
first_true_gate(const GateTable *config, const GateTable *registry, Snapshot now)
{
	Relation	relation = table_open(registry->relation, NoLock);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	TableScanDesc scan = table_beginscan(relation, now, 0, NULL);
	char	   *found = NULL;

	while (found == NULL && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		Datum		values[5];
		bool		nulls[5];
		bool		own;
		bool		null;
		Datum		key = slot_getattr(slot, registry->attributes[0], &null);

		if (!null && first_row(config, key, now, &own, values, nulls) && text_is(values[1], nulls[1], "true"))
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
	GateTable	config;
	GateTable	registry;
	char	   *found = NULL;

	if (!lock_table(&config_table, &config))
		return NULL;
	if (lock_table(&registry_table, &registry))
	{
		if (find_table(&ledger_table))
		{
			Snapshot	now = RegisterSnapshot(GetLatestSnapshot());

			found = first_true_gate(&config, &registry, now);
			UnregisterSnapshot(now);
		}
		UnlockRelationOid(registry.relation, AccessShareLock);
	}
	UnlockRelationOid(config.relation, AccessShareLock);
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
	iu_wake_at_commit(IU_WAKE(IU_WATCHDOG) | IU_WAKE(IU_SENDER));
	PG_RETURN_POINTER(NULL);
}

Datum
iu_system_identifier(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) GetSystemIdentifier());
}

Datum
iu_database_oid(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(MyDatabaseId);
}
