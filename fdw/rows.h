/*-------------------------------------------------------------------------
 *
 * rows.h
 *	  Rows of a scan that were made and not yet taken.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_ROWS_H
#define IU_ROWS_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fdw/field.h"
#include "fdw/table.h"

typedef struct IuRows
{
	MemoryContext context;		/* of the rows that are made; emptied when all are taken */
	Size		kept;			/* bytes that it keeps then */
	const IuTable *table;
	TupleDesc	descriptor;
	IuField   **fields;			/* by attribute number - 1; NULL: not a field, or not looked at */
	bool		has_fields;
	bool		follow_settings;	/* some fields' types read text as settings say */
	bool		marked;			/* null characters in the document that is being read are marked */
	const char *secret;			/* what no message may quote; NULL for none */
	Datum	   *values;			/* of the row that is being made */
	bool	   *nulls;

	HeapTuple  *made;
	int			count;			/* how many are made */
	int			capacity;		/* for how many there is room */
	int			taken;			/* how many of them have been taken */

	/* count(*) instead of rows */
	List	   *output;			/* int list, by attribute: IU_OUTPUT_... */
	bool		grouped;		/* a count for each collection, not their sum */
	List	   *counts;			/* of struct CollectionCount */
	MemoryContext count_context;	/* of the list */
} IuRows;

/* What a column shows where counts become rows. */
enum
{
	IU_OUTPUT_COUNT,
	IU_OUTPUT_COLLECTION
};

extern void iu_rows_open(IuRows *rows, MemoryContext parent, const IuTable *table,
						 TupleDesc descriptor, List *attributes);
extern void iu_rows_for_counts(IuRows *rows, MemoryContext count_context, List *output, bool grouped);
extern void iu_rows_add(IuRows *rows, const Datum *values, const bool *nulls, const IuJson *fields);
extern void iu_rows_count(IuRows *rows, const char *collection, int64 count);
extern void iu_rows_finish_counts(IuRows *rows);
extern HeapTuple iu_rows_take(IuRows *rows);
extern void iu_rows_reset(IuRows *rows);

#endif							/* IU_ROWS_H */
