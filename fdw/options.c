/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of servers, user mappings and foreign tables: what they may be,
 *	  and reading them.
 *
 * Values are checked when they are set and again when they are used. No
 * message quotes a value that is, or may hold, a secret.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "core/compat.h"
#include "fdw/options.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define MAX_URL 2000
#define MAX_SECRET 8000
#define MAX_TIMEOUT_MS 3600000
#define MAX_CONNECTIONS 128
#define DEFAULT_CONNECTIONS 32

/* One option; the check raises, or returns. */
typedef struct OptionRule
{
	const char *name;
	Oid			catalog;
	void		(*check) (const IuRemote *remote, const char *name, const char *value);
} OptionRule;

static void
bad_value(const char *name, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\"", name),
			 errdetail("%s", detail),
			 hint ? errhint("%s", hint) : 0));
}

/* NULL if host[:port] is well formed. The end is where the path starts. */
static const char *
authority_problem(const char *start, const char *end)
{
	const char *host_end;
	const char *c;
	long		port = 0;

	if (memchr(start, '@', end - start))
		return "The URL holds a user part.";
	if (start < end && *start == '[')
	{
		host_end = memchr(start, ']', end - start);
		if (host_end == NULL || strspn(start + 1, "0123456789abcdefABCDEF:.") != host_end - start - 1)
			return "The IPv6 address in the URL is malformed.";
		host_end++;
	}
	else
	{
		host_end = memchr(start, ':', end - start);
		if (host_end == NULL)
			host_end = end;
		for (c = start; c < host_end; c++)
			if (!isalnum((unsigned char) *c) && *c != '-' && *c != '.' && *c != '_')
				return "The host name in the URL holds a character that no host name has.";
	}
	if (host_end - start < 1)
		return "The URL names no host.";
	if (host_end == end)
		return NULL;
	if (*host_end != ':' || end - host_end < 2 || end - host_end > 6)
		return "The port in the URL is malformed.";
	for (c = host_end + 1; c < end; c++)
	{
		if (!isdigit((unsigned char) *c))
			return "The port in the URL is malformed.";
		port = port * 10 + (*c - '0');
	}
	return port >= 1 && port <= 65535 ? NULL : "The port in the URL is not between 1 and 65535.";
}

static void
check_url(const IuRemote *remote, const char *name, const char *value)
{
	const char *hint = "Give http:// or https://, a host, where needed a port and a path, e.g. https://example.org:8055.";
	const char *problem = NULL;
	const char *rest = NULL;
	const char *c;

	for (c = value; *c != '\0' && problem == NULL; c++)
		if (*c <= ' ' || *c > '~' || strchr("\"<>\\^`{|}", *c))
			problem = "The URL holds a space or a character that must be percent-encoded.";
	if (problem == NULL && strlen(value) > MAX_URL)
		problem = "The URL is too long.";
	if (problem == NULL && pg_strncasecmp(value, "http://", 7) == 0)
		rest = value + 7;
	else if (problem == NULL && pg_strncasecmp(value, "https://", 8) == 0)
		rest = value + 8;
	else if (problem == NULL)
		problem = "The URL does not begin with http:// or https://.";
	if (problem == NULL && strpbrk(value, "?#"))
		problem = "The URL holds a query or a fragment.";
	if (problem == NULL)
		problem = authority_problem(rest, rest + strcspn(rest, "/"));
	if (problem == NULL && strstr(rest, "/."))
		problem = "A part of the path in the URL begins with a dot.";
	if (problem != NULL)
		bad_value(name, problem, hint);
}

static int
whole_number(const char *name, const char *value, int most)
{
	char	   *end;
	long		number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (!isdigit((unsigned char) value[0]) || *end != '\0' || errno != 0 || number < 1 || number > most)
		bad_value(name, psprintf("\"%s\" is not a whole number from 1 to %d.", value, most), NULL);
	return (int) number;
}

static void
check_timeout(const IuRemote *remote, const char *name, const char *value)
{
	whole_number(name, value, MAX_TIMEOUT_MS);
}

static void
check_connections(const IuRemote *remote, const char *name, const char *value)
{
	whole_number(name, value, MAX_CONNECTIONS);
}

static void
check_on_error(const IuRemote *remote, const char *name, const char *value)
{
	if (strcmp(value, "error") != 0 && strcmp(value, "null") != 0)
		bad_value(name, psprintf("\"%s\" is not allowed here.", value),
				  "Allowed values: error, null.");
}

static const IuResource *
find_resource(const IuRemote *remote, const char *value)
{
	int			i;

	for (i = 0; i < remote->resource_count; i++)
		if (strcmp(remote->resources[i].name, value) == 0)
			return &remote->resources[i];
	return NULL;
}

static void
check_resource(const IuRemote *remote, const char *name, const char *value)
{
	StringInfoData known;
	int			i;

	if (find_resource(remote, value))
		return;
	initStringInfo(&known);
	for (i = 0; i < remote->resource_count; i++)
		appendStringInfo(&known, "%s%s", i ? ", " : "", remote->resources[i].name);
	bad_value(name, psprintf("\"%s\" is not allowed here.", value),
			  psprintf("Allowed values: %s.", known.data));
}

/* Goes into a header line: nothing that could end the line. */
static const char *
secret_problem(const char *secret)
{
	const char *c;

	if (secret[0] == '\0')
		return "The secret is empty.";
	if (strlen(secret) > MAX_SECRET)
		return "The secret is too long.";
	for (c = secret; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			return "The secret holds a space, a control character or a character outside ASCII.";
	return NULL;
}

static void
check_secret(const IuRemote *remote, const char *name, const char *value)
{
	const char *problem = secret_problem(value);

	if (problem != NULL)
		bad_value(name, problem, NULL);
}

/*
 * The file is read by the server process, so naming one is for those who may
 * read the server's files anyway.
 */
static void
check_secret_file(const IuRemote *remote, const char *name, const char *value)
{
	if (!superuser() && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", name),
				 errhint("Only superusers and members of pg_read_server_files may name a file on the server.")));
	if (!is_absolute_path(value))
		bad_value(name, "The file name is not an absolute path.", NULL);
}

/* The rules for this remote, ended by a NULL name. */
static const OptionRule *
rules_of(const IuRemote *remote)
{
	OptionRule	rules[] = {
		{"url", ForeignServerRelationId, check_url},
		{"timeout_ms", ForeignServerRelationId, check_timeout},
		{"connections", ForeignServerRelationId, check_connections},
		{"on_error", ForeignServerRelationId, check_on_error},
		{remote->secret_option, UserMappingRelationId, check_secret},
		{psprintf("%s_file", remote->secret_option), UserMappingRelationId, check_secret_file},
		{"resource", ForeignTableRelationId, check_resource},
		{"on_error", ForeignTableRelationId, check_on_error},
		{NULL, InvalidOid, NULL}
	};
	OptionRule *copy = palloc(sizeof(rules));

	memcpy(copy, rules, sizeof(rules));
	return copy;
}

static void
unknown_option(const OptionRule *rules, Oid catalog, const char *name)
{
	StringInfoData known;
	const OptionRule *rule;

	initStringInfo(&known);
	for (rule = rules; rule->name; rule++)
		if (rule->catalog == catalog)
			appendStringInfo(&known, "%s%s", known.len ? ", " : "", rule->name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 known.len ? errhint("Valid options in this context: %s.", known.data)
			 : errhint("There are no valid options in this context.")));
}

static const char *
option_value(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return defGetString(option);
	}
	return NULL;
}

static const char *
required_option(List *options, const char *name, const char *of)
{
	const char *value = option_value(options, name);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"%s\" of the %s is missing", name, of)));
	return value;
}

void
iu_options_validate(const IuRemote *remote, Datum options, Oid catalog)
{
	const OptionRule *rules = rules_of(remote);
	List	   *list = untransformRelOptions(options);
	ListCell   *cell;

	foreach(cell, list)
	{
		DefElem    *option = lfirst_node(DefElem, cell);
		const OptionRule *rule = rules;

		while (rule->name && (rule->catalog != catalog || strcmp(rule->name, option->defname) != 0))
			rule++;
		if (rule->name == NULL)
			unknown_option(rules, catalog, option->defname);
		rule->check(remote, rule->name, defGetString(option));
	}

	if (catalog == ForeignServerRelationId)
		required_option(list, "url", "foreign server");
	else if (catalog == ForeignTableRelationId)
		required_option(list, "resource", "foreign table");
	else if (catalog == UserMappingRelationId && list_length(list) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("options \"%s\" and \"%s_file\" exclude each other",
						remote->secret_option, remote->secret_option)));
}

static void
unknown_column(const IuTable *table, const char *name, const char *table_name)
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
					name, table_name, table->resource->name, table->remote->name),
			 errhint("Known columns: %s.", known.data)));
}

/* Which column of the resource this attribute is. */
static int
column_of_attribute(const IuTable *table, Form_pg_attribute attribute, const char *table_name)
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
							column->name, table_name, format_type_be(attribute->atttypid),
							format_type_be(column->type))));
		return i;
	}
	unknown_column(table, NameStr(attribute->attname), table_name);
	return -1;					/* not reached */
}

static void
map_columns(IuTable *table)
{
	Relation	relation = table_open(table->relid, NoLock);
	TupleDesc	descriptor = RelationGetDescr(relation);
	int			i;

	table->attribute_count = descriptor->natts;
	table->column_of = palloc0(sizeof(int) * Max(descriptor->natts, 1));
	for (i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		table->column_of[i] = -1;
		if (attribute->attisdropped)
			continue;
		table->column_of[i] = column_of_attribute(table, attribute, RelationGetRelationName(relation));
		if (table->column_of[i] == table->resource->key_column)
			table->key_attribute = i + 1;
	}
	table_close(relation, NoLock);
}

IuTable *
iu_table_open(const IuRemote *remote, Oid relid)
{
	ForeignTable *foreign_table = GetForeignTable(relid);
	ForeignServer *server = GetForeignServer(foreign_table->serverid);
	IuTable    *table = palloc0(sizeof(IuTable));
	const char *value;

	table->relid = relid;
	table->server_id = server->serverid;
	table->server_name = server->servername;
	table->remote = remote;

	value = required_option(server->options, "url", "foreign server");
	check_url(remote, "url", value);
	table->url = pstrdup(value);
	while (table->url[strlen(table->url) - 1] == '/')
		table->url[strlen(table->url) - 1] = '\0';

	value = option_value(server->options, "timeout_ms");
	table->timeout_ms = value ? whole_number("timeout_ms", value, MAX_TIMEOUT_MS) : 0;
	value = option_value(server->options, "connections");
	table->connections = value ? whole_number("connections", value, MAX_CONNECTIONS) : DEFAULT_CONNECTIONS;

	value = option_value(foreign_table->options, "on_error");
	if (value == NULL)
		value = option_value(server->options, "on_error");
	if (value != NULL)
		check_on_error(remote, "on_error", value);
	table->null_on_error = value != NULL && strcmp(value, "null") == 0;

	value = required_option(foreign_table->options, "resource", "foreign table");
	check_resource(remote, "resource", value);
	table->resource = find_resource(remote, value);
	map_columns(table);
	return table;
}

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
read_secret_file(const IuTable *table, const char *option, const char *path)
{
	char	   *buffer = palloc(MAX_SECRET + 2);
	struct stat status;
	ssize_t		length = -1;
	int			fd;

	/* not blocking: the name may have become a pipe */
	fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd >= 0 && fstat(fd, &status) == 0)
	{
		if (S_ISREG(status.st_mode))
			length = read(fd, buffer, MAX_SECRET + 1);
		else
			errno = EINVAL;
	}
	if (length < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read the file that option \"%s\" of the user mapping names: %m", option),
				 errdetail_log("File \"%s\", foreign server \"%s\".", path, table->server_name),
				 errhint("The server process must be able to read it, and it must be a regular file.")));
	CloseTransientFile(fd);

	buffer[length] = '\0';
	buffer[strcspn(buffer, "\r\n")] = '\0';
	return buffer;
}

char *
iu_table_secret(const IuTable *table, Oid user)
{
	List	   *options = mapping_options(user, table->server_id);
	char	   *file_option = psprintf("%s_file", table->remote->secret_option);
	const char *value = option_value(options, table->remote->secret_option);
	const char *path = option_value(options, file_option);
	const char *problem;
	char	   *secret;

	if (value == NULL && path == NULL)
		return NULL;
	secret = value ? pstrdup(value) : read_secret_file(table, file_option, path);
	problem = secret_problem(secret);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("the user mapping for foreign server \"%s\" holds no usable secret", table->server_name),
				 errdetail("%s", problem),
				 path ? errhint("The first line of the file that option \"%s\" names must be the secret.", file_option) : 0));
	return secret;
}
