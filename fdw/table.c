/*-------------------------------------------------------------------------
 *
 * table.c
 *	  A foreign table, its server and its user's secret, as the catalogs and
 *	  the secret's file have them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "core/compat.h"
#include "fdw/options.h"
#include "foreign/foreign.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define DEFAULT_CONNECTIONS 32
#define DEFAULT_PAGE 1000

/* ---- columns ---- */

static void
unknown_column(const IuTable *table, const char *name)
{
	StringInfoData known;
	int			i;

	initStringInfo(&known);
	for (i = 0; i < table->resource->column_count; i++)
		appendStringInfo(&known, "%s%s %s", i ? ", " : "", table->resource->columns[i].name,
						 format_type_be(table->resource->columns[i].type));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
			 errmsg("column \"%s\" of foreign table \"%s\" is none that resource \"%s\" of %s has",
					name, table->name, table->resource->name, table->server->remote->name),
			 table->resource->has_fields
			 ? errhint("Known columns: %s. Any other column needs a table of one collection: table option \"collection\".", known.data)
			 : errhint("Known columns: %s.", known.data)));
}

/* Which column of the resource has this name; IU_NO_COLUMN: none. */
static int
find_column(const IuTable *table, Form_pg_attribute attribute)
{
	int			i;

	for (i = 0; i < table->resource->column_count; i++)
	{
		const IuColumn *column = &table->resource->columns[i];

		if (strcmp(column->name, NameStr(attribute->attname)) != 0)
			continue;
		if (column->type != attribute->atttypid)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
					 errmsg("column \"%s\" of foreign table \"%s\" has type %s and must have type %s",
							column->name, table->name, format_type_be(attribute->atttypid),
							format_type_be(column->type))));
		return i;
	}
	return IU_NO_COLUMN;
}

/* A column that says which field it is, is one, whatever its name. */
static void
map_column(IuTable *table, Form_pg_attribute attribute)
{
	int			i = attribute->attnum - 1;
	const char *field = iu_option_value(GetForeignColumnOptions(table->relid, attribute->attnum), "field");
	int			role;

	if (field == NULL || table->collection == NULL)
		table->column_of[i] = find_column(table, attribute);
	if (table->column_of[i] == IU_NO_COLUMN)
	{
		if (table->collection == NULL)
			unknown_column(table, NameStr(attribute->attname));
		table->column_of[i] = IU_FIELD_COLUMN;
		table->field_of[i] = pstrdup(field ? field : NameStr(attribute->attname));
		return;
	}
	for (role = 0; role < IU_ROLES; role++)
		if (table->column_of[i] == table->resource->role_columns[role])
			table->key_attributes[role] = attribute->attnum;
}

static void
map_columns(IuTable *table)
{
	Relation	relation = table_open(table->relid, NoLock);
	TupleDesc	descriptor = RelationGetDescr(relation);
	int			i;

	table->name = pstrdup(RelationGetRelationName(relation));
	table->attribute_count = descriptor->natts;
	table->column_of = palloc0(sizeof(int) * Max(descriptor->natts, 1));
	table->field_of = palloc0(sizeof(char *) * Max(descriptor->natts, 1));
	for (i = 0; i < descriptor->natts; i++)
	{
		table->column_of[i] = IU_NO_COLUMN;
		if (!TupleDescAttr(descriptor, i)->attisdropped)
			map_column(table, TupleDescAttr(descriptor, i));
	}
	table_close(relation, NoLock);
}

/* ---- options ---- */

/* The value, checked; NULL for none. */
static const char *
checked_option(const IuRemote *remote, Oid catalog, List *options, const char *name)
{
	const char *value = iu_option_value(options, name);

	if (value != NULL)
		iu_option_check(remote, catalog, name, value);
	return value;
}

static int
number_option(const IuRemote *remote, Oid catalog, List *options, const char *name, int otherwise)
{
	const char *value = checked_option(remote, catalog, options, name);

	return value ? atoi(value) : otherwise;
}

IuServer *
iu_server_open(const IuRemote *remote, Oid oid)
{
	ForeignServer *foreign = GetForeignServer(oid);
	IuServer   *server = palloc0(sizeof(IuServer));
	const char *url;

	server->id = foreign->serverid;
	server->name = foreign->servername;
	server->remote = remote;
	server->options = foreign->options;

	iu_option_required(foreign->options, "url", "foreign server");
	url = checked_option(remote, ForeignServerRelationId, foreign->options, "url");
	server->url = pstrdup(url);
	while (server->url[strlen(server->url) - 1] == '/')
		server->url[strlen(server->url) - 1] = '\0';

	server->timeout_ms = number_option(remote, ForeignServerRelationId, server->options, "timeout_ms", 0);
	server->connections = number_option(remote, ForeignServerRelationId, server->options, "connections",
										DEFAULT_CONNECTIONS);
	return server;
}

/* The remote's own options, which it reads itself while it scans. */
static void
check_own_options(const IuTable *table)
{
	const IuRemote *remote = table->server->remote;
	const IuOption *own;

	for (own = remote->options; own != NULL && own->name != NULL; own++)
	{
		if (own->places & IU_ON_SERVER)
			checked_option(remote, ForeignServerRelationId, table->server->options, own->name);
		if (own->places & IU_ON_TABLE)
			checked_option(remote, ForeignTableRelationId, table->options, own->name);
	}
}

IuTable *
iu_table_open(const IuRemote *remote, Oid relid)
{
	ForeignTable *foreign = GetForeignTable(relid);
	IuServer   *server = iu_server_open(remote, foreign->serverid);
	IuTable    *table = palloc0(sizeof(IuTable));
	const char *value;

	table->relid = relid;
	table->server = server;
	table->options = foreign->options;

	value = checked_option(remote, ForeignTableRelationId, table->options, "on_error");
	if (value == NULL)
		value = checked_option(remote, ForeignServerRelationId, server->options, "on_error");
	table->null_on_error = value != NULL && strcmp(value, "null") == 0;

	table->page_size = number_option(remote, ForeignServerRelationId, server->options, "page_size", DEFAULT_PAGE);
	table->page_size = number_option(remote, ForeignTableRelationId, table->options, "page_size", table->page_size);
	check_own_options(table);

	iu_option_required(table->options, "resource", "foreign table");
	value = checked_option(remote, ForeignTableRelationId, table->options, "resource");
	table->resource = iu_option_resource(remote, value);
	if (table->resource->has_fields)
		table->collection = checked_option(remote, ForeignTableRelationId, table->options, "collection");
	map_columns(table);
	return table;
}

const char *
iu_query_option(const IuQuery *query, const char *name)
{
	const char *value = iu_option_value(query->table->options, name);

	return value ? value : iu_option_value(query->table->server->options, name);
}

/* ---- secrets ---- */

/* The options of the user's own mapping, else of the public one. */
static List *
mapping_options(Oid user, Oid server)
{
	HeapTuple	tuple;
	Datum		options;
	bool		is_null;
	List	   *list = NIL;

	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user), ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		return NIL;
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &is_null);
	if (!is_null)
		list = untransformRelOptions(options);
	ReleaseSysCache(tuple);
	return list;
}

/*
 * The first line of the file. Its name is for the log only: who uses a mapping
 * may not be who may read it.
 */
static char *
read_secret_file(const IuServer *server, const char *option, const char *path)
{
	char	   *buffer = palloc(IU_MAX_SECRET + 2);
	struct stat status;
	ssize_t		length = -1;
	int			fd;

	/* not blocking: the name may have become a pipe */
	fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd >= 0 && fstat(fd, &status) == 0)
	{
		if (S_ISREG(status.st_mode))
			length = read(fd, buffer, IU_MAX_SECRET + 1);
		else
			errno = EINVAL;
	}
	if (length < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read the file that option \"%s\" of the user mapping names: %m", option),
				 errdetail_log("File \"%s\", foreign server \"%s\".", path, server->name),
				 errhint("The server process must be able to read it, and it must be a regular file.")));
	CloseTransientFile(fd);

	buffer[length] = '\0';
	buffer[strcspn(buffer, "\r\n")] = '\0';
	return buffer;
}

char *
iu_server_secret(const IuServer *server, Oid user)
{
	List	   *options = mapping_options(user, server->id);
	char	   *file_option = psprintf("%s_file", server->remote->secret_option);
	const char *value = iu_option_value(options, server->remote->secret_option);
	const char *path = iu_option_value(options, file_option);
	const char *problem;
	char	   *secret;

	if (value == NULL && path == NULL)
		return NULL;
	secret = value ? pstrdup(value) : read_secret_file(server, file_option, path);
	problem = iu_secret_problem(secret);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("the user mapping for foreign server \"%s\" holds no usable secret", server->name),
				 errdetail("%s", problem),
				 path ? errhint("The first line of the file that option \"%s\" names must be the secret.", file_option) : 0));
	return secret;
}
