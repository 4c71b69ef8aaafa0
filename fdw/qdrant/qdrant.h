/*-------------------------------------------------------------------------
 *
 * qdrant.h
 *	  What the parts of the Qdrant wrapper share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_H
#define IU_QDRANT_H

#include "fdw/remote.h"

/* ---- the remote (server.c) ---- */

/* "/collections/<name>" and what follows; NULL if it has no such address, and then *problem says why. */
extern char *iu_qdrant_path(const char *name, const char *rest, const char **problem);

/* "?consistency=..." as the option has it, or "". */
extern const char *iu_qdrant_consistency(const IuQuery *query);

/* The names that GET /collections lists; NULL if the answer holds no list. */
extern const char **iu_qdrant_names(const IuJson *document, int *count);

/* The answer is JSON, but not what was asked for. */
extern void iu_qdrant_unusable(IuScan *scan, const char *key, const char *reason);

/* There is no request for this collection. */
extern void iu_qdrant_unaddressable(IuScan *scan, const char *key, const char *problem);

/* ---- collections (collections.c) ---- */

#define IU_QDRANT_COLLECTIONS_COLUMNS 10

extern const IuColumn iu_qdrant_collections_columns[IU_QDRANT_COLLECTIONS_COLUMNS];
extern List *iu_qdrant_collections_describe(const IuQuery *query);
extern void iu_qdrant_collections_start(IuScan *scan);
extern void iu_qdrant_collections_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document);

/* ---- points (points.c) ---- */

#define IU_QDRANT_POINTS_COLUMNS 5

extern const IuColumn iu_qdrant_points_columns[IU_QDRANT_POINTS_COLUMNS];
extern List *iu_qdrant_points_describe(const IuQuery *query);
extern void iu_qdrant_points_start(IuScan *scan);
extern void iu_qdrant_points_answered(IuScan *scan, const IuFetch *fetch, const IuJson *document);
extern bool iu_qdrant_points_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document);

/* ---- IMPORT FOREIGN SCHEMA data (import.c) ---- */

extern List *iu_qdrant_import(IuImport *import);

#endif							/* IU_QDRANT_H */
