/*-------------------------------------------------------------------------
 *
 * touched.c
 *	  Which objects this transaction has made or changed, so that the migration
 *	  runner describes those after a script and not the whole database.
 *
 * Every change of an object writes a row of a catalog, whoever makes it and by
 * whatever command, GRANT and COMMENT included, for which the server calls no
 * hook. The catalogs are read from end to end: they are small, and no index
 * leads to what one transaction wrote.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_description.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_range.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/touched.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Of each catalog the columns that name the object of which its row is a part, 0: none more. */
static const struct
{
	Oid			catalog;
	AttrNumber	columns[2];
}			parts[] =
{
	{RelationRelationId, {Anum_pg_class_oid}},
	{AttributeRelationId, {Anum_pg_attribute_attrelid}},
	{AttrDefaultRelationId, {Anum_pg_attrdef_adrelid}},
	{ConstraintRelationId, {Anum_pg_constraint_conrelid, Anum_pg_constraint_contypid}},
	{IndexRelationId, {Anum_pg_index_indrelid}},
	{InheritsRelationId, {Anum_pg_inherits_inhrelid}},
	{RewriteRelationId, {Anum_pg_rewrite_ev_class}},
	{PolicyRelationId, {Anum_pg_policy_polrelid}},
	{StatisticExtRelationId, {Anum_pg_statistic_ext_stxrelid}},
	{ForeignTableRelationId, {Anum_pg_foreign_table_ftrelid}},
	{SequenceRelationId, {Anum_pg_sequence_seqrelid}},
	{TriggerRelationId, {Anum_pg_trigger_oid}},
	{ProcedureRelationId, {Anum_pg_proc_oid}},
	{AggregateRelationId, {Anum_pg_aggregate_aggfnoid}},
	{TypeRelationId, {Anum_pg_type_oid}},
	{EnumRelationId, {Anum_pg_enum_enumtypid}},
	{RangeRelationId, {Anum_pg_range_rngtypid}},
	{NamespaceRelationId, {Anum_pg_namespace_oid}},
	{DescriptionRelationId, {Anum_pg_description_objoid}},
};

static bool
was_written_since(HeapTuple row, CommandId since)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->t_data)) &&
		HeapTupleHeaderGetCmin(row->t_data) >= since;
}

/* A row that was replaced as well: it has the same object as its successor. */
static bool
was_deleted_since(HeapTuple row, CommandId since)
{
	HeapTupleHeader header = row->t_data;

	return !(header->t_infomask & HEAP_XMAX_INVALID) && !HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(header)) &&
		HeapTupleHeaderGetCmax(header) >= since;
}

/*
 * An index is described with its table, and a sequence with the table of which
 * it fills a column.
 */
static List *
add_with_its_table(List *touched, Oid object)
{
	char		kind = get_rel_relkind(object);
	Oid			table = InvalidOid;
	int32		column;

	if (kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX)
		table = IndexGetRelation(object, true);
	else if (kind == RELKIND_SEQUENCE && !sequenceIsOwned(object, DEPENDENCY_AUTO, &table, &column))
		(void) sequenceIsOwned(object, DEPENDENCY_INTERNAL, &table, &column);
	if (OidIsValid(table))
		touched = list_append_unique_oid(touched, table);
	return list_append_unique_oid(touched, object);
}

/* A comment on a constraint, rule, policy or statistics is a part of its table's description. */
static List *
add_table_of_part(List *touched, Oid catalog, Oid object)
{
	int			part = 0;
	Relation	relation;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	if (catalog != ConstraintRelationId && catalog != RewriteRelationId && catalog != PolicyRelationId &&
		catalog != StatisticExtRelationId)
		return touched;
	while (parts[part].catalog != catalog)
		part++;
	relation = table_open(catalog, AccessShareLock);
	/* the first column of these four is their oid */
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(relation, InvalidOid, false, NULL, 1, &key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
	{
		bool		null;
		Datum		table = heap_getattr(row, parts[part].columns[0], RelationGetDescr(relation), &null);

		touched = list_append_unique_oid(touched, DatumGetObjectId(table));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return touched;
}

static List *
add_row(List *touched, int part, HeapTuple row, TupleDesc descriptor)
{
	int			i;

	for (i = 0; i < lengthof(parts[part].columns) && parts[part].columns[i] != 0; i++)
	{
		bool		null;
		Oid			object = DatumGetObjectId(heap_getattr(row, parts[part].columns[i], descriptor, &null));

		if (null || !OidIsValid(object))
			continue;
		touched = add_with_its_table(touched, object);
		if (parts[part].catalog == DescriptionRelationId)
			touched = add_table_of_part(touched, ((Form_pg_description) GETSTRUCT(row))->classoid, object);
	}
	return touched;
}

/* Reads every catalog of the table above from end to end. */
List *
iu_touched_since(CommandId since)
{
	List	   *touched = NIL;
	int			part;

	for (part = 0; part < lengthof(parts); part++)
	{
		Relation	relation = table_open(parts[part].catalog, AccessShareLock);
		/* Of what was dropped, such as an index or a comment, only the row that was deleted tells. */
		SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, SnapshotAny, 0, NULL);
		HeapTuple	row;

		while (HeapTupleIsValid(row = systable_getnext(scan)))
			if (was_written_since(row, since) || was_deleted_since(row, since))
				touched = add_row(touched, part, row, RelationGetDescr(relation));
		systable_endscan(scan);
		table_close(relation, AccessShareLock);
	}
	return touched;
}
