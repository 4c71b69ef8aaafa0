/*-------------------------------------------------------------------------
 *
 * remote.h
 *	  What a remote API must offer to be read through foreign tables.
 *
 * An IuRemote describes one API, an IuResource one kind of table of it. A scan
 * runs like this: start() asks for the first things, each complete answer is
 * handed to answered(), and either of them may ask for more and hand over
 * rows, by the functions of resource.h; the scan is over when nothing is
 * outstanding. Waiting, the check of what may be reached, secrets, failures,
 * limits and clean-up are done for every remote in the same way (scan.c).
 *
 * Text is in the server's encoding everywhere here: answers are converted when
 * they come, paths and bodies when they go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_REMOTE_H
#define IU_REMOTE_H

#include "fdw/json.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

#define IU_MAX_COLUMNS 16		/* of a resource */
#define IU_IDS_PER_REQUEST 1000	/* of rows, named in one request */

typedef struct IuScan IuScan;
typedef struct IuImport IuImport;

/* A column that a foreign table of a resource may have. */
typedef struct IuRemoteColumn
{
	const char *name;
	Oid			type;
} IuRemoteColumn;

/*
 * What the condition of a query may decide the requests by. Keys are text, a
 * filter is jsonb.
 */
typedef enum IuRole
{
	IU_KEY_COLLECTION,
	IU_KEY_ID,
	IU_KEY_FILTER,
	IU_KEY_SHARD,				/* a part of the collection in which ids are unique */
	IU_ROLES
} IuRole;

/* Where an option of one remote may stand, beside the options that all remotes have (options.c). */
#define IU_ON_SERVER 1
#define IU_ON_TABLE 2

typedef struct IuOption
{
	const char *name;			/* NULL ends the list */
	int			places;			/* IU_ON_... */
	const char *(*problem) (const char *value); /* NULL if the value is allowed; else a sentence for errdetail */
	const char *hint;			/* NULL for none */
} IuOption;

/* What is known of a query without running it. */
typedef struct IuQuery
{
	bool		restricted[IU_ROLES];	/* by the query; the collection by the table's option, too */
	Bitmapset  *wants;			/* columns of the resource that the query looks at */
	List	   *fields;			/* names of the fields that its typed columns show: C strings */
	bool		listed;			/* of the collections named, those that are in the list of all: see iu_scan_lists */
	bool		runs_once;		/* the plan reads the table once: it is no inner side of a loop */
	bool		counts;			/* count(*) is asked for instead of rows */
	int			page_size;		/* as an option gives it, or less where LIMIT needs less */
	const struct IuTable *table;
} IuQuery;

/* A request. Copied when it is handed over. */
typedef struct IuFetch
{
	const char *method;
	const char *path;			/* after the server's url, percent-encoded */
	const char *body;			/* JSON; NULL for none */
	const char *key;			/* the collection that it is about; NULL: the listing of collections */
	int			purpose;		/* the resource's own number, to know the answer by */
	void	   *state;			/* the resource's own, from iu_scan_alloc; or NULL */

	/*
	 * Of several requests for one row: the first that fails sets it, and what
	 * else comes for that row is dropped. From iu_scan_alloc; or NULL.
	 */
	bool	   *failed;
} IuFetch;

/*
 * Why something could not be had. The reason completes the sentence "could not
 * read collection x of foreign server y: ...".
 */
typedef struct IuFailure
{
	int			sqlstate;
	const char *constraint;		/* from the vocabulary iu_refusal */
	const char *reason;
	const char *detail;			/* NULL for none */
	const char *hint;			/* NULL for none */
} IuFailure;

typedef struct IuResource
{
	const char *name;			/* value of the table option "resource" */
	const IuRemoteColumn *columns;
	int			column_count;
	int			role_columns[IU_ROLES]; /* the column of each role; -1: none */
	bool		has_fields;		/* takes table option "collection", and then typed columns */
	bool		can_count;		/* count(*) may be one request */

	/* Whether the remote counts the rows that it gives, with these options. NULL: always. */
	bool		(*counts_rows) (const IuQuery *query);
	const char *import_columns; /* column definitions for IMPORT FOREIGN SCHEMA api */

	/* Templates of the requests, for EXPLAIN: list of C strings. */
	List	   *(*describe) (const IuQuery *query);

	/* Asks for the first things. */
	void		(*start) (IuScan *scan);

	/* Reads an answer of status 200 whose body is an object or an array. */
	void		(*answered) (IuScan *scan, const IuFetch *fetch, const IuJson *document);

	/*
	 * Looks at an answer of another status, or at none (status 0). True if it
	 * asked again in another way, which counts as a retry; false if this is a
	 * failure. May be NULL. document is NULL where the body is not JSON.
	 */
	bool		(*refused) (IuScan *scan, const IuFetch *fetch, int status, const IuJson *document);

	/*
	 * The answer was larger than this server reads, or if request, what was
	 * asked was larger than may be sent. True if it asked again for less; false
	 * if this is a failure. May be NULL.
	 */
	bool		(*too_large) (IuScan *scan, const IuFetch *fetch, bool request);
} IuResource;

typedef struct IuRemote
{
	const char *name;			/* for messages: "Qdrant" */
	const char *secret_option;	/* user mapping option; "<it>_file" names a file */
	const char *secret_header;	/* format with one %s */
	const IuOption *options;	/* NULL for none */
	const IuResource *resources;
	int			resource_count;

	/* The remote's own words in the JSON of an error; NULL if it holds none. */
	const char *(*error_text) (const IuJson *document);

	/*
	 * Improves what the HTTP status alone said. fetch->key tells a lookup from
	 * a listing; document is NULL where the answer is not JSON.
	 */
	void		(*refine_failure) (IuFailure *failure, const IuFetch *fetch, int status,
								   const IuJson *document);

	/* For the remote schema "data": list of IuImportedTable (import.h). NULL: there is none. */
	List	   *(*import_data) (IuImport *import);
} IuRemote;

extern char *iu_encode_segment(const char *text);
extern bool iu_is_uuid(const char *text, bool either_case);

#endif							/* IU_REMOTE_H */
