/*-------------------------------------------------------------------------
 *
 * remote.h
 *	  What a remote API must offer to be read through foreign tables, and what
 *	  it may call while it is read.
 *
 * An IuRemote describes one API, an IuResource one kind of table on it. A scan
 * runs like this: start() asks for the first things, each complete answer is
 * handed to answered(), and either may ask for more and hand over rows; the
 * scan is over when nothing is outstanding. All waiting, egress, secrets,
 * failures, limits and clean-up are the scan's.
 *
 * Text is in the server's encoding everywhere here: answers have been
 * converted when they come, and paths and bodies are when they go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_REMOTE_H
#define IU_REMOTE_H

#include "fdw/json.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

#define IU_MAX_COLUMNS 16

typedef struct IuScan IuScan;
typedef struct IuImport IuImport;

/* A column that a foreign table of this kind may have. */
typedef struct IuColumn
{
	const char *name;
	Oid			type;
} IuColumn;

/* What a restriction may be pushed on: collection and id are text, filter is jsonb. */
typedef enum IuRole
{
	IU_KEY_COLLECTION,
	IU_KEY_ID,
	IU_KEY_FILTER,
	IU_ROLES
} IuRole;

/* An option of one remote, beside those that all have (options.c). */
#define IU_ON_SERVER 1
#define IU_ON_TABLE 2

typedef struct IuOption
{
	const char *name;			/* NULL ends the list */
	int			places;
	const char *(*problem) (const char *value); /* NULL if it may be this; else a sentence for errdetail */
	const char *hint;			/* NULL for none */
} IuOption;

/* What is known of a query without running it. */
typedef struct IuQuery
{
	bool		restricted[IU_ROLES];	/* collection: by the table's option, too */
	Bitmapset  *wants;			/* columns of the resource that are looked at */
	List	   *fields;			/* names of the fields that typed columns look at */
	bool		counts;			/* count(*) is asked for instead of rows */
	int			page_size;		/* as an option gives it, or less where LIMIT needs less */
	const struct IuTable *table;
} IuQuery;

/* The table's option, else the server's, else NULL. */
extern const char *iu_query_option(const IuQuery *query, const char *name);

/* Something to ask for. Copied when handed over. */
typedef struct IuFetch
{
	const char *method;
	const char *path;			/* after the server's url, percent-encoded */
	const char *body;			/* JSON; NULL for none */
	const char *key;			/* the collection it is about, NULL: about the listing */
	int			purpose;		/* the resource's own */
	void	   *state;			/* the resource's own, from iu_scan_alloc; NULL */
	bool	   *failed;			/* of several requests for one row: the first that fails sets it, and what
								 * else comes for the row is dropped; from iu_scan_alloc; NULL */
} IuFetch;

/*
 * Why something could not be had. The reason completes "could not read
 * collection x of foreign server y: ...".
 */
typedef struct IuFailure
{
	int			sqlstate;
	const char *reason;
	const char *detail;			/* NULL for none */
	const char *hint;			/* NULL for none */
} IuFailure;

typedef struct IuResource
{
	const char *name;			/* value of the table option "resource" */
	const IuColumn *columns;
	int			column_count;
	int			role_columns[IU_ROLES]; /* column of each role, -1: none */
	bool		has_fields;		/* takes table option "collection" and typed columns */
	bool		can_count;		/* count(*) may be pushed */
	const char *import_columns; /* column definitions for IMPORT FOREIGN SCHEMA api */

	/* Templates of the requests, for EXPLAIN: list of C strings. */
	List	   *(*describe) (const IuQuery *query);
	void		(*start) (IuScan *scan);

	/* A 200 whose body is an object or an array. */
	void		(*answered) (IuScan *scan, const IuFetch *fetch, const IuJson *document);

	/*
	 * Another status, or 0 where no such answer came. True: dealt with, by
	 * asking again in another way; it counts as a retry. fetch has no path and
	 * no body here. May be NULL.
	 */
	bool		(*refused) (IuScan *scan, const IuFetch *fetch, int status, const IuJson *document);
} IuResource;

/* A table that IMPORT FOREIGN SCHEMA data makes. */
typedef struct IuImportedColumn
{
	const char *name;			/* of the column */
	const char *type;			/* as SQL, e.g. "timestamptz" */
	const char *field;			/* NULL: a column of the resource */
} IuImportedColumn;

typedef struct IuImportedTable
{
	const char *collection;		/* the table is named after it */
	const char *resource;
	List	   *columns;		/* IuImportedColumn */
	List	   *options;		/* DefElem, beside "resource" and "collection" */
} IuImportedTable;

typedef struct IuRemote
{
	const char *name;			/* for messages: "Qdrant" */
	const char *secret_option;	/* user mapping option; "<it>_file" names a file */
	const char *secret_header;	/* format with one %s */
	const IuOption *options;	/* NULL for none */
	const IuResource *resources;
	int			resource_count;

	/* The remote's own words in an error answer; NULL if it holds none. */
	const char *(*error_text) (const IuJson *document);

	/*
	 * Improves what the HTTP status alone said. fetch->key tells a lookup from
	 * a listing; document is NULL where the answer is not JSON.
	 */
	void		(*refine_failure) (IuFailure *failure, const IuFetch *fetch, int status,
								   const IuJson *document);

	/* For the remote schema "data": list of IuImportedTable. NULL: there is none. */
	List	   *(*import_data) (IuImport *import);
} IuRemote;

extern const IuRemote iu_qdrant;
extern const IuRemote iu_directus;
extern const IuRemote *iu_remote_by_name(const char *name);

/* ---- what a resource may call while it is scanned (scan.c, rows.c) ---- */

extern const IuQuery *iu_scan_query(IuScan *scan);
extern bool iu_scan_restricts(IuScan *scan, IuRole role);

/*
 * Distinct C strings, without NULL. NIL where the role is restricted: nothing
 * can match. Filters: at most one, the text of a jsonb value.
 */
extern List *iu_scan_keys(IuScan *scan, IuRole role);

/* Whether the query looks at this column of the resource. */
extern bool iu_scan_wants(IuScan *scan, int column);

/* Whether it looks at typed columns; their fields' names (C strings) if names is given. */
extern bool iu_scan_wants_fields(IuScan *scan, List **names);

/* count(*) was pushed: hand over counts, not rows. */
extern bool iu_scan_counts(IuScan *scan);

/* Summed, or grouped by collection. A failure must be told by iu_scan_fail. */
extern void iu_scan_count(IuScan *scan, const char *collection, int64 count);

/* Rows to ask for at once. It may shrink when the remote says it is too large; false: it is not larger than that already. */
extern int	iu_scan_page_size(IuScan *scan);
extern bool iu_scan_shrink_page(IuScan *scan, int most);

extern const char *iu_scan_option(IuScan *scan, const char *name);

/* Zeroed; these live until the next rescan. */
extern void *iu_scan_alloc(IuScan *scan, Size size);
extern char *iu_scan_strdup(IuScan *scan, const char *text);

/* Zeroed at first, and the same at each call: lives as long as the scan, rescans included. */
extern void *iu_scan_keep(IuScan *scan, Size size);

extern void iu_scan_fetch(IuScan *scan, const IuFetch *fetch);

/*
 * One value and null flag per column of the resource. Copied. Typed columns
 * are read from the object fields; NULL where the row has none.
 */
extern void iu_scan_row(IuScan *scan, const Datum *values, const bool *nulls, const IuJson *fields);

/*
 * Where the table asks for that and key is given: a row of the key and NULLs
 * with the error text. Otherwise raises, and always for resources without a
 * column "error".
 */
extern void iu_scan_fail(IuScan *scan, const char *key, const IuFailure *failure);

/* ---- what import_data may call (import.c) ---- */

/* Whether LIMIT TO and EXCEPT leave the table of this collection. */
extern bool iu_import_wants(IuImport *import, const char *collection);

/* One request to its end; raises unless it is a 200 of JSON. key: as in IuFetch. */
extern const IuJson *iu_import_ask(IuImport *import, const char *method, const char *path,
								   const char *body, const char *key);
extern const char *iu_import_option(IuImport *import, const char *name);
extern void iu_import_fail(IuImport *import, const char *key, const IuFailure *failure);

/* ---- small things that every API needs (remote.c) ---- */

/* One path segment; everything but unreserved characters becomes %XX of its UTF-8. */
extern char *iu_encode_segment(const char *text);

#endif							/* IU_REMOTE_H */
