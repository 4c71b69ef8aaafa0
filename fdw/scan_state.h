/*-------------------------------------------------------------------------
 *
 * scan_state.h
 *	  The state of one reading of a foreign table. For the parts of the
 *	  wrapper (scan.c, resource.c and those that run a scan); remotes know only
 *	  that there is such a thing, and call resource.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SCAN_STATE_H
#define IU_SCAN_STATE_H

#include "fdw/rows.h"
#include "fdw/session.h"

struct IuScan
{
	MemoryContext context;		/* the whole scan */
	MemoryContext run_context;	/* from one start to the next rescan */
	MemoryContext answer_context;	/* while one answer is read */
	Size		answer_kept;	/* bytes that it keeps when it is emptied */

	const IuTable *table;
	IuQuery		query;
	double		limit;			/* rows that are enough, as far as the plan knows; -1: all */
	IuNulls		nulls;			/* what becomes of null characters */
	IuSession	session;
	IuRows		rows;

	bool		started;
	bool		counted;		/* the counts became rows */
	bool		keyed_collection;	/* the query restricts the collection, beside the table's option */
	List	   *keys[IU_ROLES]; /* distinct C strings, in order */
	List	   *listed;			/* C strings: the collections in the list of all, where the query needs to know */
	bool		list_known;		/* it has been read, in this run or one before; then it is in order */
	int			page_size;		/* of the next page */
	int			page_most;		/* of any: as the options say, or the remote */
	int			seconds_most;	/* that the remote takes for a request; 0: not known */
	size_t		answer_bytes;	/* of the body that is being read */
	bool		in_answer;		/* an answer is being read */
	List	   *held;			/* IuPending: not sent while the rows at hand may be enough */
	List	   *later;			/* IuPending: not sent before this time, ms of iu_clock_ms */
	int64		later_at;
	int64		retries;
	void	   *kept;			/* the resource's own, see iu_scan_keep */
};

#endif							/* IU_SCAN_STATE_H */
