/*-------------------------------------------------------------------------
 *
 * options.h
 *	  A foreign table with its options read and its columns understood.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_OPTIONS_H
#define IU_OPTIONS_H

#include "access/attnum.h"
#include "fdw/remote.h"

/* What a column of a foreign table shows, where it is no column of the resource. */
#define IU_NO_COLUMN (-1)		/* dropped */
#define IU_FIELD_COLUMN (-2)	/* a field of the collection's rows */

typedef struct IuServer
{
	Oid			id;
	const char *name;
	const IuRemote *remote;
	List	   *options;		/* DefElem */
	char	   *url;			/* without a slash at its end */
	int			timeout_ms;		/* 0: iu_core.request_timeout */
	int			connections;	/* most requests at once */
} IuServer;

typedef struct IuTable
{
	Oid			relid;
	const char *name;
	const IuServer *server;
	const IuResource *resource;
	List	   *options;		/* DefElem */
	const char *collection;		/* the only one it shows; NULL: any */
	int			page_size;
	bool		null_on_error;
	int			attribute_count;
	int		   *column_of;		/* by attribute number - 1: column of the resource, or one of the above */
	const char **field_of;		/* beside it: the field's name */
	AttrNumber	key_attributes[IU_ROLES];	/* 0: the table leaves the column out */
} IuTable;

/* Raise for options and columns that are not as they must be. No network, no files. */
extern IuServer *iu_server_open(const IuRemote *remote, Oid server);
extern IuTable *iu_table_open(const IuRemote *remote, Oid relid);

/* What the user mapping holds, read from its file if it names one; NULL for none. */
extern char *iu_server_secret(const IuServer *server, Oid user);

extern void iu_options_validate(const IuRemote *remote, Datum options, Oid catalog);

/* ---- between options.c and table.c ---- */

extern const char *iu_option_value(List *options, const char *name);
extern const char *iu_option_required(List *options, const char *name, const char *of);

/* The same check as when it was set; raises. */
extern void iu_option_check(const IuRemote *remote, Oid catalog, const char *name, const char *value);
extern const IuResource *iu_option_resource(const IuRemote *remote, const char *value);
extern const char *iu_secret_problem(const char *secret);

#define IU_MAX_SECRET 8000

#endif							/* IU_OPTIONS_H */
