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
#include "catalog/pg_namespace.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/gate.h"
#include "core/wake.h"
#include "fmgr.h"
#include "miscadmin.h"
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
 * Opening any relation may bring one, so the check itself works with copies.
 */
typedef struct GateTable
{
	const char *name;
	const char *index_name;
	const char *columns[5];
	Oid			relation;
	Oid			index;
	AttrNumber	attributes[5];
} GateTable;

static GateTable config_table = {"dot_config", "dot_config_pkey", {"key", "value"}};
static GateTable registry_table = {"iu_gate_registry", "iu_gate_registry_pkey", {"gate_key", "gate_class"}};
static GateTable ledger_table = {
	"iu_gate_transition",
	"ix_iu_gate_transition_last",
	{"gate_key", "action", "expires_at", "system_identifier", "database_oid"},
};

static HTAB *closed_gates = NULL;
static uint64 cache_generation = 0;
static uint64 invalidations = 0;	/* of any relation */

static void
on_relation_change(Datum arg, Oid relation)
{
	invalidations++;
	if (OidIsValid(relation) && relation != config_table.relation &&
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

/*
 * False where the table, its index or a column is not there. What was found is
 * kept only if nothing changed meanwhile: a change of a relation that is not
 * known yet goes by unheeded.
 */
static bool
find_table(GateTable *known, GateTable *found)
{
	uint64		before = invalidations;
	int			i;

	*found = *known;
	if (OidIsValid(found->relation))
		return true;

	found->relation = get_relname_relid(found->name, PG_PUBLIC_NAMESPACE);
	found->index = get_relname_relid(found->index_name, PG_PUBLIC_NAMESPACE);
	if (!OidIsValid(found->relation) || !OidIsValid(found->index) ||
		get_rel_relkind(found->relation) != RELKIND_RELATION)
		return false;
	for (i = 0; i < lengthof(found->columns) && found->columns[i] != NULL; i++)
	{
		found->attributes[i] = get_attnum(found->relation, found->columns[i]);
		if (found->attributes[i] == InvalidAttrNumber)
			return false;
	}
	if (before == invalidations)
		*known = *found;
	return true;
}

/*
 * The first row of a gate in the table's index that the snapshot sees, copied
 * into values, or false. *own says whether this transaction wrote the row.
 */
static bool
first_row(const GateTable *table, Datum key, Snapshot snapshot, bool *own,
		  Datum *values, bool *nulls)
{
	Relation	relation;
	Relation	index;
	IndexScanDesc scan;
	ScanKeyData condition;
	TupleTableSlot *slot;
	bool		found;

	relation = table_open(table->relation, AccessShareLock);
	index = index_open(table->index, AccessShareLock);
	ScanKeyInit(&condition, 1, BTEqualStrategyNumber, F_TEXTEQ, key);
	condition.sk_collation = index->rd_indcollation[0];
	slot = table_slot_create(relation, NULL);
	scan = index_beginscan(relation, index, snapshot, NULL, 1, 0);
	index_rescan(scan, &condition, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	if (found)
	{
		int			i;

		for (i = 0; i < lengthof(table->columns) && table->columns[i] != NULL; i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), table->attributes[i] - 1);

			values[i] = slot_getattr(slot, table->attributes[i], &nulls[i]);
			if (!nulls[i] && !attribute->attbyval)
				values[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(values[i]));
		}
		if (own != NULL)
		{
			bool		null;
			Datum		xmin = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &null);

			*own = !null && TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin));
		}
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, AccessShareLock);
	table_close(relation, AccessShareLock);
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

	/* At command 0 of this transaction nothing of its own has happened yet. */
	before.curcid = FirstCommandId;
	return first_row(config, key, &before, NULL, values, nulls) &&
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
look_up(Datum key)
{
	GateTable	registry;
	GateTable	config;
	GateTable	ledger;
	Snapshot	now;
	Datum		values[5];
	bool		nulls[5];
	bool		own_value = false;
	bool		own_opening = false;
	bool		open = false;

	if (!find_table(&registry_table, &registry) || !find_table(&config_table, &config) ||
		!find_table(&ledger_table, &ledger))
		return false;

	now = RegisterSnapshot(GetLatestSnapshot());
	if (first_row(&config, key, now, &own_value, values, nulls) &&
		text_is(values[1], nulls[1], "true") &&
		first_row(&registry, key, now, NULL, values, nulls) &&
		text_is(values[1], nulls[1], "governable"))
	{
		/* What this transaction opened by the protocol is no toggle: it ends with its time. */
		open = ledger_says_open(&ledger, key, now, &own_opening) ||
			(own_value && !own_opening && was_false_before_this_transaction(&config, key, now));
	}
	UnregisterSnapshot(now);
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
	if (!open && cacheable && generation == cache_generation &&
		OidIsValid(ledger_table.relation) && OidIsValid(config_table.relation) &&
		OidIsValid(registry_table.relation))
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
