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
#include "fdw/options.h"
#include "fdw/field.h"

typedef struct IuRows
{
	MemoryContext context;		/* of the rows made; reset when all are taken */
	const IuTable *table;
	TupleDesc	descriptor;
	IuField   **fields;			/* by attribute number - 1; NULL: not a field, or not looked at */
	bool		has_fields;
	const char *secret;			/* what no message may quote; NULL for none */
	Datum	   *values;			/* of the row that is being made */
	bool	   *nulls;

	HeapTuple  *made;
	int			count;
	int			capacity;
	int			taken;
	double		total;			/* taken or to be taken, since the start */

	/* count(*) instead of rows */
	List	   *output;			/* int list, by attribute: IU_OUTPUT_... */
	bool		grouped;
	List	   *counts;
	MemoryContext count_context;
} IuRows;

enum
{
	IU_OUTPUT_COUNT,
	IU_OUTPUT_COLLECTION
};

/* attributes: those that the query looks at, int list. */
extern void iu_rows_open(IuRows *rows, MemoryContext parent, const IuTable *table,
						 TupleDesc descriptor, List *attributes);
extern void iu_rows_for_counts(IuRows *rows, MemoryContext count_context, List *output, bool grouped);

/* One value and null flag per column of the resource; see iu_scan_row. */
extern void iu_rows_add(IuRows *rows, const Datum *values, const bool *nulls, const IuJson *fields);
extern void iu_rows_count(IuRows *rows, const char *collection, int64 count);

/* Turns the counts into rows, once. */
extern void iu_rows_finish_counts(IuRows *rows);

/* NULL if there are no more, and then their memory is free. */
extern HeapTuple iu_rows_take(IuRows *rows);
extern void iu_rows_reset(IuRows *rows);

#endif							/* IU_ROWS_H */
