/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of servers, user mappings, foreign tables and their columns: what
 *	  they may be.
 *
 * Values are checked when they are set, and those of servers and tables again
 * when a query is planned. No message quotes a value that is, or may hold, a
 * secret.
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
#include "fdw/nulls.h"
#include "fdw/options.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#define MAX_URL 2000
#define MAX_CERTIFICATES 65536	/* bytes */
#define MAX_TIMEOUT_MS 3600000
#define MAX_CONNECTIONS 128
#define MAX_PAGE 10000
#define FILE_SUFFIX "_file"		/* after the name of the secret's option: the option that names a file */

/* What all remotes have of options. The check raises, or returns. */
typedef struct OptionRule
{
	const char *name;
	Oid			catalog;
	void		(*check) (const IuRemote *remote, const char *name, const char *value);
} OptionRule;

/* Raises: the value of this option is not allowed. hint: NULL for none. */
static void
bad_value(const char *name, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\"", name),
			 errdetail("%s", detail),
			 hint ? errhint("%s", hint) : 0,
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_value")));
}

/*
 * What is wrong with the host[:port] of a URL, as a sentence; NULL if it is
 * well formed. It stands from start up to end, where the path begins.
 */
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

/* Takes http and https, a host, a port and a path; nothing that would have to be rewritten or could be misread. */
static void
check_url(const IuRemote *remote, const char *name, const char *value)
{
	const char *hint = "Give http:// or https://, a host, where needed a port and a path, "
		"e.g. https://example.org:8055.";
	const char *problem = NULL;
	const char *rest = NULL;
	const char *c;

	for (c = value; *c != '\0' && problem == NULL; c++)
		if (*c <= ' ' || *c > '~' || strchr("\"<>\\^`{|}", *c))
			problem = "The URL holds a space or a character that must be percent-encoded.";
	if (problem == NULL && strlen(value) > MAX_URL)
		problem = psprintf("The URL has %zu characters; %d are the most.", strlen(value), MAX_URL);
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

/* A field's name may be empty: a payload may have such a key. */
static void
check_anything(const IuRemote *remote, const char *name, const char *value)
{
}

static void
check_on_error(const IuRemote *remote, const char *name, const char *value)
{
	if (strcmp(value, "error") != 0 && strcmp(value, "null") != 0)
		bad_value(name, psprintf("\"%s\" is not allowed here.", value),
				  "Allowed values: error, null.");
}

/* Certificates in PEM. What they hold is for TLS to judge. */
static void
check_certificates(const IuRemote *remote, const char *name, const char *value)
{
	const char *hint = "Give what stands in a file of certificates: -----BEGIN CERTIFICATE----- and so on.";

	if (strstr(value, "-----BEGIN CERTIFICATE-----") == NULL || strstr(value, "-----END CERTIFICATE-----") == NULL)
		bad_value(name, "The value holds no certificate in PEM.", hint);
	if (strstr(value, "PRIVATE KEY-----") != NULL)
		bad_value(name, "The value holds a private key.", hint);
	if (strlen(value) > MAX_CERTIFICATES)
		bad_value(name, psprintf("The value has %zu bytes; %d are the most.", strlen(value), MAX_CERTIFICATES), hint);
}

static void
check_null_character(const IuRemote *remote, const char *name, const char *value)
{
	const char *problem = iu_nulls_problem(value);

	if (problem != NULL)
		bad_value(name, problem, "Allowed values: error, replace, remove.");
}

/* The resource of this name; NULL if the remote has none. */
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

/*
 * What is wrong with a secret, as a sentence that does not quote it; NULL if
 * nothing is. A secret goes into a header of a request, so it must hold
 * nothing that could end the header.
 */
const char *
iu_secret_problem(const char *secret)
{
	const char *c;

	if (secret[0] == '\0')
		return "The secret is empty.";
	if (strlen(secret) > IU_MAX_SECRET)
		return psprintf("The secret has %zu characters; %d are the most.", strlen(secret), IU_MAX_SECRET);
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
				 errdetail("Option \"%s\" is given as \"%s\", which is a file on the server.", name, value),
				 errhint("Only superusers and members of pg_read_server_files may name a file on the server."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_file")));
	if (!is_absolute_path(value))
		bad_value(name, "The file name is not an absolute path.", NULL);
}

static const OptionRule common_rules[] = {
	{"url", ForeignServerRelationId, check_url},
	{"ca_certificates", ForeignServerRelationId, check_certificates},
	{"timeout_ms", ForeignServerRelationId, check_timeout},
	{"connections", ForeignServerRelationId, check_connections},
	{"page_size", ForeignServerRelationId, check_page_size},
	{"on_error", ForeignServerRelationId, check_on_error},
	{"null_character", ForeignServerRelationId, check_null_character},
	{"resource", ForeignTableRelationId, check_resource},
	{"collection", ForeignTableRelationId, check_not_empty},
	{"page_size", ForeignTableRelationId, check_page_size},
	{"on_error", ForeignTableRelationId, check_on_error},
	{"null_character", ForeignTableRelationId, check_null_character},
	{"field", AttributeRelationId, check_anything}
};

/* Whether an option of the remote's own may stand on objects of this catalog. */
static bool
stands_on(const IuOption *own, Oid catalog)
{
	return (catalog == ForeignServerRelationId && (own->places & IU_ON_SERVER)) ||
		(catalog == ForeignTableRelationId && (own->places & IU_ON_TABLE));
}

static bool
is_secret_file_option(const IuRemote *remote, const char *name)
{
	size_t		length = strlen(remote->secret_option);

	return strncmp(name, remote->secret_option, length) == 0 && strcmp(name + length, FILE_SUFFIX) == 0;
}

/*
 * Checks one option of an object of this catalog; raises if the value is not
 * allowed. False if there is no option of this name.
 */
static bool
check_option(const IuRemote *remote, Oid catalog, const char *name, const char *value)
{
	const IuOption *own;
	int			i;

	for (i = 0; i < lengthof(common_rules); i++)
		if (common_rules[i].catalog == catalog && strcmp(common_rules[i].name, name) == 0)
		{
			common_rules[i].check(remote, name, value);
			return true;
		}
	if (catalog == UserMappingRelationId && strcmp(name, remote->secret_option) == 0)
	{
		check_secret(remote, name, value);
		return true;
	}
	if (catalog == UserMappingRelationId && is_secret_file_option(remote, name))
	{
		check_secret_file(remote, name, value);
		return true;
	}
	for (own = remote->options; own != NULL && own->name != NULL; own++)
		if (stands_on(own, catalog) && strcmp(own->name, name) == 0)
		{
			const char *problem = own->problem(value);

			if (problem != NULL)
				bad_value(name, problem, own->hint);
			return true;
		}
	return false;
}

static void
unknown_option(const IuRemote *remote, Oid catalog, const char *name)
{
	StringInfoData known;
	const IuOption *own;
	int			i;

	initStringInfo(&known);
	for (i = 0; i < lengthof(common_rules); i++)
		if (common_rules[i].catalog == catalog)
			appendStringInfo(&known, "%s%s", known.len ? ", " : "", common_rules[i].name);
	if (catalog == UserMappingRelationId)
		appendStringInfo(&known, "%s, %s" FILE_SUFFIX, remote->secret_option, remote->secret_option);
	for (own = remote->options; own != NULL && own->name != NULL; own++)
		if (stands_on(own, catalog))
			appendStringInfo(&known, "%s%s", known.len ? ", " : "", own->name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 errdetail("There is no option \"%s\" here.", name),
			 known.len ? errhint("Valid options in this context: %s.", known.data)
			 : errhint("There are no valid options in this context."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_unknown")));
}

/* The value of an option in a list of DefElem; NULL if it is not there. */
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

/*
 * The value of an option that must be in a list of DefElem; raises if it is not.
 *
 * object: what the options are of, for the message.
 */
const char *
iu_option_required(List *options, const char *name, const char *object)
{
	const char *value = iu_option_value(options, name);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"%s\" of the %s is missing", name, object),
				 errdetail("The %s must have option \"%s\".", object, name),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_missing")));
	return value;
}

/*
 * The value of an option that is a number and has been checked, in a list of
 * DefElem.
 *
 * otherwise: the result where the option is not there.
 */
int
iu_option_number(List *options, const char *name, int otherwise)
{
	const char *value = iu_option_value(options, name);

	return value ? atoi(value) : otherwise;
}

/* Options that only some resources take. */
static void
check_options_of_resource(const IuRemote *remote, List *options)
{
	const IuResource *resource = iu_option_resource(remote, iu_option_required(options, "resource", "foreign table"));

	if (!resource->has_fields && iu_option_value(options, "collection"))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"collection\" is not for resource \"%s\"", resource->name),
				 errdetail("Option \"resource\" is \"%s\", and option \"collection\" is given.", resource->name),
				 errhint("Restrict column \"collection\" instead."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_resource")));
	if (resource->has_fields && iu_option_value(options, "on_error"))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"on_error\" is not for resource \"%s\"", resource->name),
				 errdetail("Option \"resource\" is \"%s\", and option \"on_error\" is given.", resource->name),
				 errhint("Rows that could not be had are always an error; "
						 "resource \"collections\" takes the option."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_resource")));
}

/*
 * What a validator does: checks all the options of an object as they shall be,
 * and raises if one is unknown, not allowed or missing.
 *
 * options: text array as the validator gets it; catalog: the one that the
 * object is in.
 */
void
iu_options_validate(const IuRemote *remote, Datum options, Oid catalog)
{
	List	   *list = untransformRelOptions(options);
	ListCell   *cell;

	foreach(cell, list)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (!check_option(remote, catalog, option->defname, defGetString(option)))
			unknown_option(remote, catalog, option->defname);
	}

	if (catalog == ForeignServerRelationId)
		iu_option_required(list, "url", "foreign server");
	else if (catalog == ForeignTableRelationId)
		check_options_of_resource(remote, list);
	else if (catalog == UserMappingRelationId && list_length(list) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("options \"%s\" and \"%s" FILE_SUFFIX "\" exclude each other",
						remote->secret_option, remote->secret_option),
				 errdetail("The user mapping would have both; it may have option \"%s\", or the name of a file.",
						   remote->secret_option),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_option_secrets")));
}

/*
 * Checks options that stand in a catalog, where they may have come without the
 * validator, before they are used. Raises if a value is not allowed; what is
 * unknown is used by nobody.
 *
 * options: list of DefElem.
 */
void
iu_options_check(const IuRemote *remote, Oid catalog, List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		(void) check_option(remote, catalog, option->defname, defGetString(option));
	}
}
