/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  One reading of a foreign table, whoever wants it: the executor (node.c)
 *	  or ANALYZE (analyze.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SCAN_H
#define IU_SCAN_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fdw/line.h"
#include "fdw/rows.h"

struct IuScan
{
	MemoryContext context;		/* the whole scan */
	MemoryContext run_context;	/* from one start to the next rescan */
	MemoryContext answer_context;	/* while one answer is read */

	IuTable    *table;
	IuQuery		query;
	double		limit;			/* rows that are enough, as far as the plan knows; -1: all */
	IuLine		line;
	IuRows		rows;

	bool		started;
	bool		counted;		/* the counts became rows */
	bool		keyed_collection;	/* by the query, beside the table's option */
	List	   *keys[IU_ROLES]; /* distinct C strings */
	int			page_size;		/* of this run */
	bool		in_answer;
	List	   *held;			/* IuFetch: not asked while the rows at hand may be enough */
	int64		retries;
	void	   *kept;			/* the resource's own */
};

/*
 * query says what restricts, and what is looked at; attributes: the same of
 * the table's columns, int list. For counts see iu_rows_for_counts.
 */
extern IuScan *iu_scan_open(MemoryContext parent, IuTable *table, Oid user, const IuQuery *query,
							double limit, TupleDesc descriptor, List *attributes);

/* The keys by role; of roles that the query does not restrict they do not matter. */
extern void iu_scan_start(IuScan *scan, List **keys);

/*
 * The next row, which belongs to the scan; NULL at the end. Without patience
 * NULL may also mean that it is not there yet: then unfinished is set, and
 * iu_line_descriptor tells when to look again.
 */
extern HeapTuple iu_scan_next(IuScan *scan, bool patient, bool *unfinished);

/* As before the start; what was asked is forgotten. */
extern void iu_scan_reset(IuScan *scan);
extern void iu_scan_close(IuScan *scan);

#endif							/* IU_SCAN_H */
