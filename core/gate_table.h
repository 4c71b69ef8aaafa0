/*-------------------------------------------------------------------------
 *
 * gate_table.h
 *	  The tables that gates rest on, found by name, and their rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_GATE_TABLE_H
#define IU_GATE_TABLE_H

#include "access/genam.h"
#include "access/htup.h"
#include "executor/tuptable.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#define IU_GATE_COLUMNS 7

/*
 * A table as it should be, and where it is. Its index leads from a gate's key,
 * or the id of an approval (uuid), which is the first column, to the row; where
 * a gate has several rows, to the newest first.
 */
typedef struct IuGateTable
{
	const char *name;
	const char *index_name;
	struct
	{
		const char *name;
		Oid			type;
	}			columns[IU_GATE_COLUMNS];
	const char *newest_first;	/* the index's second column, descending; NULL: a gate has one row */
	Oid			relation;		/* InvalidOid: not looked for yet */
	Oid			index;
	AttrNumber	attributes[IU_GATE_COLUMNS];
	AttrNumber	order;
} IuGateTable;

/* The row of a gate under a snapshot, from iu_gate_row_find to iu_gate_row_done. */
typedef struct IuGateRow
{
	const IuGateTable *table;
	Relation	relation;
	Relation	index;
	IndexScanDesc scan;			/* NULL: the index is another than it should be */
	TupleTableSlot *slot;
	HeapTuple	tuple;			/* NULL: there is none */
} IuGateRow;

extern bool iu_gate_table_look_for(IuGateTable *table);
extern bool iu_gate_table_tells(const IuGateTable *table, Oid function);

/* Every row that was looked for is done in the end, whether it was found or not. */
extern bool iu_gate_row_find(IuGateRow *row, const IuGateTable *table, Datum key, Snapshot snapshot);
extern void iu_gate_row_done(IuGateRow *row);
extern bool iu_gate_row_may_exist(const IuGateTable *table, Datum key, Snapshot snapshot);

/* By this a version of a row is recognised later. */
typedef struct IuGateVersion
{
	ItemPointerData place;
	TransactionId xmin;
} IuGateVersion;

extern IuGateVersion iu_gate_row_version(const IuGateRow *row);
extern bool iu_gate_version_is_visible(const IuGateTable *table, const IuGateVersion *version, Snapshot snapshot);

/* Of a row that was found. */
extern Datum iu_gate_row_value(const IuGateRow *row, int column, bool *null);
extern bool iu_gate_row_says(const IuGateRow *row, int column, const char *expected);
extern bool iu_gate_row_is_own(const IuGateRow *row);

#endif							/* IU_GATE_TABLE_H */
