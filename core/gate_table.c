/*-------------------------------------------------------------------------
 *
 * gate_table.c
 *	  Reads the tables that gates rest on, without SPI, since triggers on the
 *	  busiest tables ask for gates, and tells of their changes.
 *
 * Locks stay to the end of the transaction, as a SELECT would leave them. To
 * take them again in the same transaction costs next to nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/gate_table.h"
#include "core/subscription.h"
#include "core/wake.h"
#include "fmgr.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(iu_gate_changed);

#define UUID_BTREE_FAM_OID 2968	/* uuid_ops, to which the server's headers give no name */

static bool
is_heap(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	bool		heap;

	if (!HeapTupleIsValid(tuple))
		return false;
	heap = ((Form_pg_class) GETSTRUCT(tuple))->relkind == RELKIND_RELATION &&
		((Form_pg_class) GETSTRUCT(tuple))->relam == HEAP_TABLE_AM_OID;
	ReleaseSysCache(tuple);
	return heap;
}

/*
 * Finds a table by its name in schema public. False where the table, its index
 * or a column is missing, or is of another kind or type than it should be.
 */
bool
iu_gate_table_look_for(IuGateTable *table)
{
	Oid			schema = get_namespace_oid("public", true);
	Oid			relation = get_relname_relid(table->name, schema);
	int			i;

	table->index = get_relname_relid(table->index_name, schema);
	if (!OidIsValid(table->index) || get_rel_relkind(table->index) != RELKIND_INDEX || !is_heap(relation))
		return false;
	for (i = 0; i < IU_GATE_COLUMNS && table->columns[i].name != NULL; i++)
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

/* Whether an index that has the right name also has the right definition: another would give another row. */
static bool
leads_to_the_row(const IuGateTable *table, Relation index)
{
	Form_pg_index form = index->rd_index;

	return form->indrelid == table->relation && form->indisvalid &&
		index->rd_rel->relam == BTREE_AM_OID &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		form->indkey.values[0] == table->attributes[0] &&
		index->rd_opfamily[0] == (table->columns[0].type == UUIDOID ? UUID_BTREE_FAM_OID : TEXT_BTREE_FAM_OID) &&
		(table->newest_first == NULL ||
		 (form->indnkeyatts > 1 && form->indkey.values[1] == table->order &&
		  (index->rd_indoption[1] & INDOPTION_DESC) != 0));
}

/* A text of less than 32 bytes is never compressed, nor stored elsewhere. */
static bool
is_plain_text(Datum value, const char *bytes, size_t length)
{
	struct varlena *text = (struct varlena *) DatumGetPointer(value);

	return !VARATT_IS_EXTERNAL(text) && !VARATT_IS_COMPRESSED(text) &&
		VARSIZE_ANY_EXHDR(text) == length && memcmp(VARDATA_ANY(text), bytes, length) == 0;
}

/*
 * Finds the first row of a gate in a table that the caller has locked. key: of
 * the type of the table's first column. Whether it is found or not,
 * iu_gate_row_done must follow.
 */
bool
iu_gate_row_find(IuGateRow *row, const IuGateTable *table, Datum key, Snapshot snapshot)
{
	ScanKeyData condition;

	row->table = table;
	row->relation = table_open(table->relation, NoLock);
	row->index = index_open(table->index, AccessShareLock);
	row->slot = table_slot_create(row->relation, NULL);
	row->scan = NULL;
	row->tuple = NULL;
	if (!leads_to_the_row(table, row->index))
		return false;
	row->scan = index_beginscan(row->relation, row->index, snapshot, NULL, 1, 0);
	ScanKeyInit(&condition, 1, BTEqualStrategyNumber, table->columns[0].type == UUIDOID ? F_UUID_EQ : F_TEXTEQ, key);
	condition.sk_collation = row->index->rd_indcollation[0];
	index_rescan(row->scan, &condition, 1, NULL, 0);
	if (index_getnext_slot(row->scan, ForwardScanDirection, row->slot))
		row->tuple = ExecFetchSlotHeapTuple(row->slot, false, NULL);
	return row->tuple != NULL;
}

/* Ends what iu_gate_row_find began. Pointers into the row are no longer valid. */
void
iu_gate_row_done(IuGateRow *row)
{
	if (row->scan != NULL)
		index_endscan(row->scan);
	ExecDropSingleTupleTableSlot(row->slot);
	index_close(row->index, NoLock);
	table_close(row->relation, NoLock);
}

/* Whether the table has a row of that key, or could not be asked, since its index is another than it should be. */
bool
iu_gate_row_may_exist(const IuGateTable *table, Datum key, Snapshot snapshot)
{
	IuGateRow	row;
	bool		may = iu_gate_row_find(&row, table, key, snapshot) || row.scan == NULL;

	iu_gate_row_done(&row);
	return may;
}

/* The version of the row that was found, for iu_gate_version_is_visible. */
IuGateVersion
iu_gate_row_version(const IuGateRow *row)
{
	IuGateVersion version = {row->tuple->t_self, HeapTupleHeaderGetRawXmin(row->tuple->t_data)};

	return version;
}

/*
 * Whether a snapshot sees exactly this version of a row. The caller has locked
 * the table and received no invalidation for it since the version was noted, so
 * the table still has that place; after VACUUM another row may be in it.
 */
bool
iu_gate_version_is_visible(const IuGateTable *table, const IuGateVersion *version, Snapshot snapshot)
{
	Relation	relation = table_open(table->relation, NoLock);
	HeapTupleData tuple;
	Buffer		buffer;
	bool		visible = false;

	tuple.t_self = version->place;
	if (heap_fetch(relation, snapshot, &tuple, &buffer, false))
	{
		visible = HeapTupleHeaderGetRawXmin(tuple.t_data) == version->xmin;
		ReleaseBuffer(buffer);
	}
	table_close(relation, NoLock);
	return visible;
}

/*
 * Whether every change of the table calls this trigger function, before and
 * after, whatever session_replication_role says. Before: what a function within
 * the statement finds is forgotten if the statement fails. After: what it found
 * is forgotten as well where it saw half of the change.
 */
bool
iu_gate_table_tells(const IuGateTable *table, Oid function)
{
	const int16 every_statement =
		TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE | TRIGGER_TYPE_TRUNCATE;
	Relation	relation = table_open(table->relation, NoLock);
	bool		before = false;
	bool		after = false;
	int			i;

	for (i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &relation->trigdesc->triggers[i];

		if (trigger->tgfoid != function || trigger->tgenabled != TRIGGER_FIRES_ALWAYS ||
			trigger->tgqual != NULL || trigger->tgnattr != 0)
			continue;
		before |= trigger->tgtype == (every_statement | TRIGGER_TYPE_BEFORE);
		after |= trigger->tgtype == every_statement;
	}
	table_close(relation, NoLock);
	return before && after;
}

/* A column by its number in the table's description. */
Datum
iu_gate_row_value(const IuGateRow *row, int column, bool *null)
{
	return heap_getattr(row->tuple, row->table->attributes[column], RelationGetDescr(row->relation), null);
}

/* Whether a column of type text is exactly this, which is shorter than 32 bytes. */
bool
iu_gate_row_says(const IuGateRow *row, int column, const char *expected)
{
	bool		null;
	Datum		value = iu_gate_row_value(row, column, &null);

	return !null && is_plain_text(value, expected, strlen(expected));
}

/* Whether this transaction wrote the row. */
bool
iu_gate_row_is_own(const IuGateRow *row)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->tuple->t_data));
}

/*
 * iu_core.gate_changed(), the trigger that tells, before and after each statement:
 * makes every session forget what it remembers of gates, and wakes the workers
 * that act on gates.
 */
Datum
iu_gate_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", "iu_core.gate_changed"),
				 errdetail("Function: %s.", "iu_core.gate_changed"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_trigger_only")));
	/* Nothing of that changes a table; a TRUNCATE is left out by what an invalidation would undo. */
	if (iu_comes_from_elsewhere())
		PG_RETURN_POINTER(NULL);
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	iu_wake_at_commit(IU_WAKE(IU_WATCHDOG) | IU_WAKE_DELIVERY);
	PG_RETURN_POINTER(NULL);
}
