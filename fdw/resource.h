/*-------------------------------------------------------------------------
 *
 * resource.h
 *	  What a remote's resource may call while it is scanned.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_RESOURCE_H
#define IU_RESOURCE_H

#include "fdw/remote.h"

/* ---- what the query is ---- */

extern const IuQuery *iu_scan_query(IuScan *scan);
extern bool iu_scan_restricts(IuScan *scan, IuRole role);
extern List *iu_scan_keys(IuScan *scan, IuRole role);
extern bool iu_scan_lists(IuScan *scan);
extern bool iu_scan_takes(IuScan *scan, const char *collection);
extern void iu_scan_has_list(IuScan *scan);
extern bool iu_scan_forgoes_list(IuScan *scan);
extern bool iu_scan_wants(IuScan *scan, int column);
extern bool iu_scan_wants_fields(IuScan *scan, List **names);
extern bool iu_scan_counts(IuScan *scan);
extern const char *iu_scan_option(IuScan *scan, const char *name);

/* ---- asking ---- */

extern int	iu_scan_page_size(IuScan *scan);
extern bool iu_scan_shrink_page(IuScan *scan, int most);
extern bool iu_scan_lighten_page(IuScan *scan, int rows);
extern int	iu_scan_next_size(IuScan *scan, int rows, int most);
extern void iu_scan_page_came(IuScan *scan, int rows);
extern int	iu_scan_seconds(IuScan *scan);
extern bool iu_scan_limit_seconds(IuScan *scan, int most);
extern void iu_scan_fetch(IuScan *scan, const IuFetch *fetch);
extern void iu_scan_fetch_later(IuScan *scan, const IuFetch *fetch, int seconds);

/* ---- handing over ---- */

extern void iu_scan_row(IuScan *scan, const Datum *values, const bool *nulls, const IuJson *fields);
extern void iu_scan_count(IuScan *scan, const char *collection, int64 count);
extern void iu_scan_fail(IuScan *scan, const char *key, const IuFailure *failure);
extern void iu_scan_fail_for_weight(IuScan *scan, const char *key, const char *id);

/* ---- memory ---- */

extern void *iu_scan_alloc(IuScan *scan, Size size);
extern char *iu_scan_strdup(IuScan *scan, const char *text);
extern void *iu_scan_keep(IuScan *scan, Size size);
extern MemoryContext iu_scan_memory(IuScan *scan);

#endif							/* IU_RESOURCE_H */
