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

#define IU_GATE_COLUMNS 5

/*
 * A table as it should be, and where it is. Its index leads from a gate's key,
 * the first column, to its row, or to its newest row first.
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
	const char *newest_first;	/* second column of the index; NULL: none */
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

/* False where the table, its index or a column is not there, or is another than it should be. */
extern bool iu_gate_table_look_for(IuGateTable *table);

/* Whether every change of the table calls a function, whatever the role of the session. */
extern bool iu_gate_table_tells(const IuGateTable *table, Oid function);

/* The first row of a gate in a locked table, or false; done in any case. */
extern bool iu_gate_row_find(IuGateRow *row, const IuGateTable *table, Datum key, Snapshot snapshot);
extern void iu_gate_row_done(IuGateRow *row);

/* A version of a row, to be recognised later. */
typedef struct IuGateVersion
{
	ItemPointerData place;
	TransactionId xmin;
} IuGateVersion;

extern IuGateVersion iu_gate_row_version(const IuGateRow *row);

/* Whether a snapshot sees just this version in a locked table, of which no change was told since. */
extern bool iu_gate_version_is_visible(const IuGateTable *table, const IuGateVersion *version, Snapshot snapshot);

/* A column by its number in the table's description; pointers last until the row is done. */
extern Datum iu_gate_row_value(const IuGateRow *row, int column, bool *null);

/* Whether a column of type text is just this, of less than 32 bytes. */
extern bool iu_gate_row_says(const IuGateRow *row, int column, const char *expected);

/* Whether this transaction wrote the row. */
extern bool iu_gate_row_is_own(const IuGateRow *row);

#endif							/* IU_GATE_TABLE_H */
