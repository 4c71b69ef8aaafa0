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
 * failures and clean-up are the scan's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_REMOTE_H
#define IU_REMOTE_H

#include "fdw/json.h"
#include "nodes/pg_list.h"

#define IU_MAX_COLUMNS 16

typedef struct IuScan IuScan;

/* A column that a foreign table of this kind may have. */
typedef struct IuColumn
{
	const char *name;
	Oid			type;
} IuColumn;

/* Something to ask for. Copied when handed over. */
typedef struct IuFetch
{
	const char *method;
	const char *path;			/* after the server's url, percent-encoded */
	const char *body;			/* JSON; NULL for none */
	const char *key;			/* the key it is about, NULL: about all */
	int			purpose;		/* the resource's own */
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
	int			key_column;		/* restrictions on it become keys */
	const char *import_columns; /* column definitions for IMPORT FOREIGN SCHEMA */

	/* Templates of the requests, for EXPLAIN: list of C strings. */
	List	   *(*describe) (bool keyed, bool key_only);
	void		(*start) (IuScan *scan);
	void		(*answered) (IuScan *scan, const IuFetch *fetch, const IuJson *document);
} IuResource;

typedef struct IuRemote
{
	const char *name;			/* for messages: "Qdrant" */
	const char *secret_option;	/* user mapping option; "<it>_file" names a file */
	const char *secret_header;	/* format with one %s */
	const IuResource *resources;
	int			resource_count;

	/* The remote's own words in an error answer, UTF-8; NULL if it holds none. */
	const char *(*error_text) (const IuJson *document);

	/*
	 * Improves what the HTTP status alone said. fetch->key tells a lookup from
	 * a listing; document is NULL where the answer is not JSON.
	 */
	void		(*refine_failure) (IuFailure *failure, const IuFetch *fetch, int status,
								   const IuJson *document);
} IuRemote;

extern const IuRemote iu_qdrant;
extern const IuRemote iu_directus;
extern const IuRemote *iu_remote_by_name(const char *name);

/* ---- what a resource may call while it is scanned (scan.c) ---- */

/* Distinct, without NULL, in the server's encoding; only if iu_scan_is_keyed. */
extern List *iu_scan_keys(IuScan *scan);
extern bool iu_scan_is_keyed(IuScan *scan);

/* Whether the query looks at nothing but the key column. */
extern bool iu_scan_is_key_only(IuScan *scan);

extern void iu_scan_fetch(IuScan *scan, const IuFetch *fetch);

/* One value and null flag per column of the resource. Copied. */
extern void iu_scan_row(IuScan *scan, const Datum *values, const bool *nulls);

/* A row of the key and NULLs with the error text if the table asks for that and key is given; else raises. */
extern void iu_scan_fail(IuScan *scan, const char *key, const IuFailure *failure);

/* ---- small things that every API needs (scan.c) ---- */

/* One path segment in UTF-8; everything but unreserved characters becomes %XX. */
extern char *iu_encode_segment(const char *text);

/* From the remote's UTF-8 to the server's encoding. */
extern char *iu_from_remote(const char *text);

#endif							/* IU_REMOTE_H */
