/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of servers, user mappings, foreign tables and their columns: what
 *	  they may be.
 *
 * Values are checked when they are set and again when they are used. No
 * message quotes a value that is, or may hold, a secret.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "core/compat.h"
#include "fdw/options.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#define MAX_URL 2000
#define MAX_TIMEOUT_MS 3600000
#define MAX_CONNECTIONS 128
#define MAX_PAGE 10000
#define MAX_RULES 32

/* One option; the check raises, or returns. */
typedef struct OptionRule
{
	const char *name;
	Oid			catalog;
	void		(*check) (const IuRemote *remote, const char *name, const char *value);
	const IuOption *own;		/* the remote's own: checked by it */
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

static void
check_number(const char *name, const char *value, int most)
{
	char	   *end;
	long		number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (!isdigit((unsigned char) value[0]) || *end != '\0' || errno != 0 || number < 1 || number > most)
		bad_value(name, psprintf("\"%s\" is not a whole number from 1 to %d.", value, most), NULL);
}

static void
check_timeout(const IuRemote *remote, const char *name, const char *value)
{
	check_number(name, value, MAX_TIMEOUT_MS);
}

static void
check_connections(const IuRemote *remote, const char *name, const char *value)
{
	check_number(name, value, MAX_CONNECTIONS);
}

static void
check_page_size(const IuRemote *remote, const char *name, const char *value)
{
	check_number(name, value, MAX_PAGE);
}

static void
check_not_empty(const IuRemote *remote, const char *name, const char *value)
{
	if (value[0] == '\0')
		bad_value(name, "The value is empty.", NULL);
}

static void
check_on_error(const IuRemote *remote, const char *name, const char *value)
{
	if (strcmp(value, "error") != 0 && strcmp(value, "null") != 0)
		bad_value(name, psprintf("\"%s\" is not allowed here.", value),
				  "Allowed values: error, null.");
}

const IuResource *
iu_option_resource(const IuRemote *remote, const char *value)
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

	if (iu_option_resource(remote, value))
		return;
	initStringInfo(&known);
	for (i = 0; i < remote->resource_count; i++)
		appendStringInfo(&known, "%s%s", i ? ", " : "", remote->resources[i].name);
	bad_value(name, psprintf("\"%s\" is not allowed here.", value),
			  psprintf("Allowed values: %s.", known.data));
}

/* Goes into a header line: nothing that could end the line. */
const char *
iu_secret_problem(const char *secret)
{
	const char *c;

	if (secret[0] == '\0')
		return "The secret is empty.";
	if (strlen(secret) > IU_MAX_SECRET)
		return "The secret is too long.";
	for (c = secret; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			return "The secret holds a space, a control character or a character outside ASCII.";
	return NULL;
}

static void
check_secret(const IuRemote *remote, const char *name, const char *value)
{
	const char *problem = iu_secret_problem(value);

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

/* 1 if the remote has the option there. */
static int
add_own(OptionRule *rule, const IuOption *own, int place, Oid catalog)
{
	if (!(own->places & place))
		return 0;
	rule->name = own->name;
	rule->catalog = catalog;
	rule->own = own;
	return 1;
}

/* The rules for this remote, ended by a NULL name. */
static const OptionRule *
rules_of(const IuRemote *remote)
{
	const OptionRule common[] = {
		{"url", ForeignServerRelationId, check_url},
		{"timeout_ms", ForeignServerRelationId, check_timeout},
		{"connections", ForeignServerRelationId, check_connections},
		{"page_size", ForeignServerRelationId, check_page_size},
		{"on_error", ForeignServerRelationId, check_on_error},
		{remote->secret_option, UserMappingRelationId, check_secret},
		{psprintf("%s_file", remote->secret_option), UserMappingRelationId, check_secret_file},
		{"resource", ForeignTableRelationId, check_resource},
		{"collection", ForeignTableRelationId, check_not_empty},
		{"page_size", ForeignTableRelationId, check_page_size},
		{"on_error", ForeignTableRelationId, check_on_error},
		{"field", AttributeRelationId, check_not_empty}
	};
	OptionRule *rules = palloc0(sizeof(OptionRule) * MAX_RULES);
	int			count = lengthof(common);
	const IuOption *own;

	memcpy(rules, common, sizeof(common));
	for (own = remote->options; own != NULL && own->name != NULL; own++)
	{
		count += add_own(&rules[count], own, IU_ON_SERVER, ForeignServerRelationId);
		count += add_own(&rules[count], own, IU_ON_TABLE, ForeignTableRelationId);
		Assert(count < MAX_RULES - 2);
	}
	return rules;
}

static const OptionRule *
find_rule(const OptionRule *rules, Oid catalog, const char *name)
{
	for (; rules->name != NULL; rules++)
		if (rules->catalog == catalog && strcmp(rules->name, name) == 0)
			return rules;
	return NULL;
}

static void
apply_rule(const OptionRule *rule, const IuRemote *remote, const char *value)
{
	const char *problem;

	if (rule->own == NULL)
	{
		rule->check(remote, rule->name, value);
		return;
	}
	problem = rule->own->problem(value);
	if (problem != NULL)
		bad_value(rule->name, problem, rule->own->hint);
}

void
iu_option_check(const IuRemote *remote, Oid catalog, const char *name, const char *value)
{
	const OptionRule *rule = find_rule(rules_of(remote), catalog, name);

	if (rule == NULL)
		elog(ERROR, "unknown option \"%s\"", name);
	apply_rule(rule, remote, value);
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

const char *
iu_option_value(List *options, const char *name)
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

const char *
iu_option_required(List *options, const char *name, const char *of)
{
	const char *value = iu_option_value(options, name);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"%s\" of the %s is missing", name, of)));
	return value;
}

/* Options that only some resources take. */
static void
check_table(const IuRemote *remote, List *options)
{
	const IuResource *resource = iu_option_resource(remote, iu_option_required(options, "resource", "foreign table"));

	if (!resource->has_fields && iu_option_value(options, "collection"))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"collection\" is not for resource \"%s\"", resource->name),
				 errhint("Restrict column \"collection\" instead.")));
	if (resource->has_fields && iu_option_value(options, "on_error"))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"on_error\" is not for resource \"%s\"", resource->name),
				 errhint("Rows that could not be had are always an error; resource \"collections\" takes the option.")));
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
		const OptionRule *rule = find_rule(rules, catalog, option->defname);

		if (rule == NULL)
			unknown_option(rules, catalog, option->defname);
		else
			apply_rule(rule, remote, defGetString(option));
	}

	if (catalog == ForeignServerRelationId)
		iu_option_required(list, "url", "foreign server");
	else if (catalog == ForeignTableRelationId)
		check_table(remote, list);
	else if (catalog == UserMappingRelationId && list_length(list) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("options \"%s\" and \"%s_file\" exclude each other",
						remote->secret_option, remote->secret_option)));
}
