/*-------------------------------------------------------------------------
 *
 * table.h
 *	  A foreign table and its server, with their options read and the table's
 *	  columns understood.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_TABLE_H
#define IU_TABLE_H

#include "access/attnum.h"
#include "fdw/remote.h"

/* What a column of a foreign table shows, where that is no column of the resource. */
#define IU_NO_COLUMN (-1)		/* nothing: the column was dropped */
#define IU_FIELD_COLUMN (-2)	/* a field of the collection's rows */

typedef struct IuServer
{
	Oid			id;
	const char *name;
	const IuRemote *remote;
	List	   *options;		/* DefElem */
	const char *url;			/* without a slash at its end */
	const char *authorities;	/* PEM: trusted instead of those of the host; NULL for those */
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
	const char **field_of;		/* beside it: the field's name, NULL where it shows none */
	AttrNumber	key_attributes[IU_ROLES];	/* 0: the table leaves the column out */
} IuTable;

extern IuServer *iu_server_open(const IuRemote *remote, Oid oid);
extern char *iu_server_url(List *options);

extern IuTable *iu_table_open(const IuRemote *remote, Oid relid);
extern List *iu_table_pack(const IuTable *table);
extern IuTable *iu_table_unpack(const IuRemote *remote, List *packed);

extern const char *iu_query_option(const IuQuery *query, const char *name);

#endif							/* IU_TABLE_H */
