/*-------------------------------------------------------------------------
 *
 * egress.c
 *	  Which origins may be reached: iu_core.allowed_origins.
 *
 * A URL is taken apart by libcurl's own parser, which the client uses when it
 * connects, so that what is checked and what is reached cannot differ. What curl
 * would accept but no honest URL needs is refused before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>

#include "core/compat.h"
#include "fmgr.h"
#include "http/address.h"
#include "http/egress.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(iu_egress_refusal);

#define HOST_LENGTH 256			/* DNS allows 253 */
#define ORIGIN_LENGTH (HOST_LENGTH + 16)	/* https:// before it, :65535 after it */

/*
 * The parsed setting: canonical origins one after the other, each with its
 * NUL, in one malloc'd piece kept by the GUC machinery.
 */
typedef struct Origins
{
	int			count;
	char		text[FLEXIBLE_ARRAY_MEMBER];
} Origins;

static struct
{
	char	   *text;			/* as it is set */
	const Origins *parsed;
} allowed_origins;

/* What is wrong with the text of a URL, whatever a parser would make of it; NULL if nothing is. */
static const char *
lexical_problem(const char *url)
{
	const char *p;
	size_t		scheme;
	size_t		authority;

	for (p = url; *p != '\0'; p++)
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			return "it holds a space, a control character or a byte that is not ASCII";
	if (strchr(url, '\\') != NULL)
		return "it holds a backslash";

	if (pg_strncasecmp(url, "http://", 7) == 0)
		scheme = 7;
	else if (pg_strncasecmp(url, "https://", 8) == 0)
		scheme = 8;
	else
		return "it does not start with http:// or https://";
	authority = strcspn(url + scheme, "/?#");
	if (authority == 0)
		return "it has no host";
	if (memchr(url + scheme, '@', authority) != NULL)
		return "it has a user part";
	return NULL;
}

/* Copies a part of a parsed URL; false if it is absent or longer than size allows. */
static bool
copy_part(CURLU *parts, CURLUPart part, unsigned int flags, char *to, size_t size)
{
	char	   *value = NULL;
	bool		fits;

	if (curl_url_get(parts, part, &value, flags) != CURLUE_OK)
		return false;
	fits = value[0] != '\0' && strlcpy(to, value, size) < size;
	curl_free(value);
	return fits;
}

/*
 * Writes the canonical origin of a parsed URL and returns NULL; or returns what
 * is wrong with the URL.
 */
static const char *
write_origin(CURLU *parts, char origin[ORIGIN_LENGTH])
{
	char		scheme[8];
	char		host[HOST_LENGTH];
	char		port[8];
	char	   *zone;
	bool		has_port;

	if (!copy_part(parts, CURLUPART_SCHEME, 0, scheme, sizeof(scheme)))
		return "it has no scheme";
	if (!copy_part(parts, CURLUPART_HOST, 0, host, sizeof(host)))
		return "its host is missing or too long";
	if (curl_url_get(parts, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK)
	{
		curl_free(zone);
		return "it has an IPv6 zone";
	}
	has_port = copy_part(parts, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT, port, sizeof(port));
	if (has_port && atoi(port) == 0)
		return "its port is not a number from 1 to 65535";
	snprintf(origin, ORIGIN_LENGTH, "%s://%s%s%s", scheme, host,
			 has_port ? ":" : "", has_port ? port : "");
	return NULL;
}

/*
 * Writes the canonical origin, in lower case and without a default port, and
 * returns NULL; or returns what is wrong. Raises nothing, pallocs nothing.
 */
static const char *
parse_anew(const char *url, char origin[ORIGIN_LENGTH])
{
	const char *problem = lexical_problem(url);
	CURLU	   *parts;
	CURLUcode	code;
	char	   *p;

	if (problem != NULL)
		return problem;
	parts = curl_url();
	if (parts == NULL)
		return "there is no memory to parse it";

	code = curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER);
	if (code == CURLUE_BAD_PORT_NUMBER)
		problem = "its port is not a number from 1 to 65535";
	else if (code == CURLUE_USER_NOT_ALLOWED)
		problem = "it has a user part";
	else if (code != CURLUE_OK)
		problem = "it cannot be parsed";
	else
		problem = write_origin(parts, origin);
	curl_url_cleanup(parts);

	if (problem == NULL)
		for (p = origin; *p != '\0'; p++)
			*p = pg_ascii_tolower((unsigned char) *p);
	return problem;
}

/*
 * Writes the canonical origin of a URL and returns NULL, or returns what is
 * wrong, as parse_anew does. The last URL and its origin are kept in mind, as
 * thousands of deliveries of a route have the same one.
 */
static const char *
parse_origin(const char *url, char origin[ORIGIN_LENGTH])
{
	static char known_url[1024];
	static char known_origin[ORIGIN_LENGTH];
	const char *problem;

	if (known_url[0] != '\0' && strcmp(url, known_url) == 0)
	{
		strlcpy(origin, known_origin, ORIGIN_LENGTH);
		return NULL;
	}
	problem = parse_anew(url, origin);
	if (problem == NULL && strlen(url) < sizeof(known_url))
	{
		strlcpy(known_url, url, sizeof(known_url));
		strlcpy(known_origin, origin, sizeof(known_origin));
	}
	return problem;
}

/* The URL's scheme://host[:port], canonical and palloc'd, for messages; NULL if it has none. */
char *
iu_egress_origin(const char *url)
{
	char		origin[ORIGIN_LENGTH];

	return url != NULL && parse_origin(url, origin) == NULL ? pstrdup(origin) : NULL;
}

/*
 * NULL if iu_core.allowed_origins names the URL's scheme://host[:port]; otherwise
 * why not, as a palloc'd sentence that names the setting. Refuses whatever it
 * cannot parse, user parts, every scheme but http and https, and NULL.
 */
char *
iu_egress_refuses_url(const char *url)
{
	char		origin[ORIGIN_LENGTH];
	const char *problem = url == NULL ? "there is none" : parse_origin(url, origin);
	const char *allowed;
	int			i;

	if (problem != NULL)
		return psprintf("iu_core.allowed_origins can never allow this URL: %s", problem);

	if (allowed_origins.parsed != NULL)
	{
		allowed = allowed_origins.parsed->text;
		for (i = 0; i < allowed_origins.parsed->count; i++)
		{
			if (strcmp(allowed, origin) == 0)
				return NULL;
			allowed += strlen(allowed) + 1;
		}
	}
	return psprintf("origin \"%s\" is not in iu_core.allowed_origins", origin);
}

/*
 * Writes the canonical origin that an entry of the setting names and returns
 * NULL; or returns what is wrong with the entry, which may be palloc'd. An entry
 * is an origin as a person would write it: what curl would have to rewrite (a
 * decimal host, a trailing slash) is refused, so that the setting reads as what
 * it allows.
 */
static const char *
parse_entry(const char *entry, char origin[ORIGIN_LENGTH])
{
	char		plain[ORIGIN_LENGTH];
	const char *problem;
	const char *host;
	size_t		length;
	char	   *p;

	if (strchr(entry, '*') != NULL)
		return "it has a wildcard";
	problem = parse_origin(entry, origin);
	if (problem != NULL)
		return problem;
	host = strstr(entry, "://") + 3;
	if (strpbrk(host, "/?#") != NULL)
		return "it has a path";
	if (strlcpy(plain, entry, sizeof(plain)) >= sizeof(plain))
		return "it is too long";

	for (p = plain; *p != '\0'; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	length = strlen(plain);
	if (strncmp(plain, "http://", 7) == 0 && length > 3 && strcmp(plain + length - 3, ":80") == 0)
		plain[length - 3] = '\0';
	else if (strncmp(plain, "https://", 8) == 0 && length > 4 && strcmp(plain + length - 4, ":443") == 0)
		plain[length - 4] = '\0';

	host = strstr(origin, "://") + 3;
	length = host[0] == '[' ? strlen(host) : strcspn(host, ":");
	if (host[length - 1] == '.')
		return "its host ends in a dot";
	if (host[0] != '[' && strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != length)
		return "its host holds a character that no host name has";
	if (strcmp(plain, origin) != 0)
		return psprintf("it would be used as \"%s\"", origin);
	return NULL;
}

/* GUC check hook: takes a list of which every entry is an origin. */
static bool
check_origins(char **newval, void **extra, GucSource source)
{
	List	   *entries = NIL;
	char	   *copy = pstrdup(*newval ? *newval : "");
	Origins    *parsed = NULL;
	size_t		room = strlen(copy) + 1;
	char	   *next = NULL;
	bool		good;
	ListCell   *cell;

	good = SplitGUCList(copy, ',', &entries);
	if (!good)
		GUC_check_errdetail("The list must be origins separated by commas, "
							"for example https://hooks.example.com, http://127.0.0.1:8055.");
	else
	{
		/* A canonical origin is never longer than the entry it came from. */
		parsed = iu_guc_malloc(offsetof(Origins, text) + room);
		good = parsed != NULL;
	}
	if (good)
	{
		parsed->count = 0;
		next = parsed->text;
	}
	foreach(cell, entries)
	{
		const char *entry = (const char *) lfirst(cell);
		char		origin[ORIGIN_LENGTH];
		const char *problem;

		if (!good)
			break;
		problem = parse_entry(entry, origin);
		if (problem != NULL)
		{
			GUC_check_errdetail("Entry \"%s\" is not an origin: %s. An entry is http://host or https://host, "
								"with :port where it is not the default, and nothing else.",
								entry, problem);
			good = false;
			break;
		}
		memcpy(next, origin, strlen(origin) + 1);
		next += strlen(origin) + 1;
		parsed->count++;
	}
	list_free(entries);
	pfree(copy);
	if (!good && parsed != NULL)
		iu_guc_free(parsed);
	if (good)
		*extra = parsed;
	return good;
}

/* GUC assign hook. */
static void
assign_origins(const char *newval, void *extra)
{
	allowed_origins.parsed = extra;
}

/* Defines iu_core.allowed_origins and iu_core.allowed_networks. */
void
iu_egress_define_settings(void)
{
	DefineCustomStringVariable("iu_core.allowed_origins",
							   "Origins that HTTP requests of this server may go to.",
							   "A comma-separated list of scheme://host[:port]. "
							   "Empty: none, nothing leaves the server.",
							   &allowed_origins.text, "", PGC_SIGHUP, GUC_LIST_INPUT,
							   check_origins, assign_origins, NULL);
	iu_address_define_setting();
}

/* iu_core.egress_refusal(url); no URL is refused too. */
Datum
iu_egress_refusal(PG_FUNCTION_ARGS)
{
	char	   *refusal;

	refusal = iu_egress_refuses_url(PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (refusal == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(refusal));
}
