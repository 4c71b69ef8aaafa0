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

typedef struct IuTable
{
	Oid			relid;
	Oid			server_id;
	const char *server_name;
	const IuRemote *remote;
	const IuResource *resource;
	char	   *url;			/* without a slash at its end */
	int			timeout_ms;		/* 0: iu_core.request_timeout */
	int			connections;	/* most requests at once */
	bool		null_on_error;
	int			attribute_count;
	int		   *column_of;		/* by attribute number - 1: column of the resource, -1 if dropped */
	AttrNumber	key_attribute;	/* 0: the table leaves the key column out */
} IuTable;

/* Raises for options and columns that are not as they must be. No network, no files. */
extern IuTable *iu_table_open(const IuRemote *remote, Oid relid);

/* What the user mapping holds, read from its file if it names one; NULL for none. */
extern char *iu_table_secret(const IuTable *table, Oid user);

extern void iu_options_validate(const IuRemote *remote, Datum options, Oid catalog);

#endif							/* IU_OPTIONS_H */
