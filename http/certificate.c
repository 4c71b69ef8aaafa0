/*-------------------------------------------------------------------------
 *
 * certificate.c
 *	  The certificates by which a request goes, from the files of
 *	  iu_core.certificate_directory: NAME.crt has the authorities that are
 *	  trusted, or the certificate that is shown, and then NAME.key has its key.
 *
 * A route names them, and whoever owns the database may be anybody; so a name is
 * no path, and certificate_file.c reads what is in the directory only. What was
 * read is kept as long as the files are as they were then, so that a file that is
 * replaced is used from the next request on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <time.h>

#include "core/compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "http/certificate.h"
#include "http/certificate_file.h"
#include "http/x509.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_certificate_problem);
PG_FUNCTION_INFO_V1(iu_certificate_files);

#define NAME_LENGTH 64
#define KEPT 16					/* texts that a process keeps; two are needed at a time */
#define SETTLED_S 2				/* a file that changed since may change once more without its times telling it */

/* What one name stands for. */
typedef struct Pem
{
	char		name[NAME_LENGTH + 1];	/* empty: unused */
	bool		is_identity;	/* certificate and key; otherwise authorities */
	bool		is_settled;
	IuFileState states[2];		/* of the certificate's file, and the key's */
	char	   *text;
	IuEndings	endings;
	uint64		used;			/* when last: a number that grows */
} Pem;

static char *certificate_directory = NULL;

static struct
{
	MemoryContext context;
	uint64		uses;
	Pem			pems[KEPT];
} kept;

/* ---------- what is asked for ---------- */

/* What is wrong with a name, as a constant; NULL: nothing. */
static const char *
name_problem(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

	if (name[0] == '\0' || strchr(letters, name[0]) == NULL ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(name) ||
		strlen(name) > NAME_LENGTH)
		return "the name of a certificate is not 1 to 64 letters, digits, \".\", \"_\" or \"-\"";
	return NULL;
}

/*
 * Only by OpenSSL and its like curl takes a client's certificate from memory; by
 * others it would go without one.
 */
static bool
curl_takes_certificates(void)
{
	static const char *const libraries[] = {"OpenSSL/", "LibreSSL/", "BoringSSL", "quictls/", "AWS-LC/"};
	const char *version = curl_version_info(CURLVERSION_NOW)->ssl_version;
	int			i;

	for (i = 0; version != NULL && i < lengthof(libraries); i++)
		if (strncmp(version, libraries[i], strlen(libraries[i])) == 0)
			return true;
	return false;
}

/* What keeps requests to this URL from having any certificate, palloc'd; NULL: nothing. */
static char *
common_problem(const char *url)
{
	if (url == NULL || strncmp(url, "https://", 8) != 0)
		return pstrdup("the URL does not begin with https://");
	if (certificate_directory == NULL || certificate_directory[0] == '\0')
		return pstrdup("iu_core.certificate_directory is empty, so that no route has a certificate of its own");
	if (!curl_takes_certificates())
		return pstrdup("libcurl on this server was built with another TLS library than OpenSSL");
	return NULL;
}

/* ---------- what is kept ---------- */

/* Whether the files are as they were when this was read. */
static bool
is_current(const Pem *pem)
{
	char		file[NAME_LENGTH + 8];
	IuFileState state;
	int			i;

	for (i = 0; i < (pem->is_identity ? 2 : 1); i++)
	{
		snprintf(file, sizeof(file), "%s.%s", pem->name, i == 0 ? "crt" : "key");
		if (!iu_certificate_file_state(certificate_directory, file, &state) ||
			!iu_certificate_file_same(&state, &pem->states[i]))
			return false;
	}
	return pem->is_settled;
}

static void
forget(Pem *pem)
{
	if (pem->text != NULL)
	{
		explicit_bzero(pem->text, strlen(pem->text));
		pfree(pem->text);
	}
	memset(pem, 0, sizeof(Pem));
}

/* The place of this name, or else the one that has not been used for longest. */
static Pem *
find_place(const char *name, bool is_identity)
{
	Pem		   *oldest = &kept.pems[0];
	int			i;

	for (i = 0; i < KEPT; i++)
	{
		Pem		   *pem = &kept.pems[i];

		if (strcmp(pem->name, name) == 0 && pem->is_identity == is_identity)
			return pem;
		if (pem->used < oldest->used)
			oldest = pem;
	}
	return oldest;
}

/* ---------- reading ---------- */

/* In words, palloc'd; NULL: nothing is wrong. */
static char *
describe_problem(IuPemProblem problem, const char *name)
{
	switch (problem)
	{
		case IU_PEM_GOOD:
			return NULL;
		case IU_PEM_NO_CERTIFICATE:
			return psprintf("file \"%s.crt\" has no certificate in PEM, or one that cannot be read", name);
		case IU_PEM_NO_KEY:
			return psprintf("file \"%s.key\" has not one private key in PEM without a passphrase", name);
		case IU_PEM_OTHER_KEY:
			return psprintf("the key in file \"%s.key\" belongs to another certificate than the one in file \"%s.crt\"",
							name, name);
	}
	return pstrdup("nothing is known of the certificate");
}

static bool
is_settled(const IuFileState *state, time_t now)
{
	return now - state->changed.tv_sec > SETTLED_S && now - state->modified.tv_sec > SETTLED_S;
}

/*
 * Reads the files of a name into its place. Returns what is wrong, palloc'd, or
 * NULL.
 *
 * text: room for both files.
 */
static char *
read_files(Pem *pem, const char *name, bool is_identity, char *text)
{
	char		file[NAME_LENGTH + 8];
	char	   *key = NULL;
	char	   *problem;
	time_t		now = time(NULL);

	snprintf(file, sizeof(file), "%s.crt", name);
	problem = iu_certificate_file_read(certificate_directory, file, false, text, &pem->states[0]);
	if (problem == NULL && is_identity)
	{
		key = text + strlen(text) + 1;
		snprintf(file, sizeof(file), "%s.key", name);
		problem = iu_certificate_file_read(certificate_directory, file, true, key, &pem->states[1]);
	}
	if (problem == NULL)
		problem = describe_problem(iu_x509_look(text, key, &pem->endings), name);
	if (problem != NULL)
		return problem;
	if (key != NULL)
		key[-1] = '\n';			/* one text: connections of the same certificate with other keys are others */
	pem->text = MemoryContextStrdup(kept.context, text);
	strlcpy(pem->name, name, sizeof(pem->name));
	pem->is_identity = is_identity;
	pem->is_settled = is_settled(&pem->states[0], now) && (!is_identity || is_settled(&pem->states[1], now));
	return NULL;
}

/* What a name stands for now. Sets *problem, palloc'd, and returns NULL where it cannot be used. */
static const Pem *
find_pem(const char *name, bool is_identity, char **problem)
{
	char		text[2 * (IU_CERTIFICATE_BYTES + 2)];
	Pem		   *pem;

	if (name_problem(name) != NULL)
	{
		*problem = pstrdup(name_problem(name));
		return NULL;
	}
	if (kept.context == NULL)
		kept.context = AllocSetContextCreate(TopMemoryContext, "iu_core certificates", ALLOCSET_SMALL_SIZES);
	pem = find_place(name, is_identity);
	if (pem->text == NULL || strcmp(pem->name, name) != 0 || pem->is_identity != is_identity || !is_current(pem))
	{
		forget(pem);
		*problem = read_files(pem, name, is_identity, text);
		explicit_bzero(text, sizeof(text));
		if (*problem != NULL)
		{
			forget(pem);
			return NULL;
		}
	}
	pem->used = ++kept.uses;
	return pem;
}

/* When what a name stands for is over, in seconds since 1970; 0: it cannot be told. */
static int64
end_of(const Pem *pem)
{
	return pem->is_identity ? pem->endings.of_the_first : pem->endings.latest;
}

static TimestampTz
shown_time(int64 seconds)
{
	return time_t_to_timestamptz((pg_time_t) seconds);
}

/* What is wrong with certificates that can be read, palloc'd; NULL: nothing. */
static char *
judge_time(const Pem *pem)
{
	if (end_of(pem) == 0 || end_of(pem) > (int64) time(NULL))
		return NULL;
	return psprintf("the certificate in file \"%s.crt\" ended at %s", pem->name,
					timestamptz_to_str(shown_time(end_of(pem))));
}

/*
 * Finds the certificates for requests to a URL. Returns what is wrong, palloc'd,
 * in words that name the file; then nothing may be sent. NULL: nothing is wrong.
 *
 * ca_name, client_name: as the route has them; NULL: none.
 */
char *
iu_certificates_read(const char *url, const char *ca_name, const char *client_name, IuCertificates *certificates)
{
	const char *names[] = {ca_name, client_name};
	const char **texts[] = {&certificates->authorities, &certificates->identity};
	char	   *problem = NULL;
	int			i;

	certificates->authorities = certificates->identity = NULL;
	if (ca_name == NULL && client_name == NULL)
		return NULL;
	problem = common_problem(url);
	for (i = 0; problem == NULL && i < lengthof(names); i++)
	{
		const Pem  *pem = names[i] == NULL ? NULL : find_pem(names[i], i == 1, &problem);

		if (pem == NULL)
			continue;
		problem = judge_time(pem);
		*texts[i] = pem->text;
	}
	return problem;
}

/* ---------- in SQL ---------- */

static char *
text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* iu_core.certificate_problem(url, ca_name, client_name) */
Datum
iu_certificate_problem(PG_FUNCTION_ARGS)
{
	IuCertificates certificates;
	char	   *problem = iu_certificates_read(text_argument(fcinfo, 0), text_argument(fcinfo, 1),
											   text_argument(fcinfo, 2), &certificates);

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/* iu_core.certificate_files(url, ca_name, client_name): a row for each name. */
Datum
iu_certificate_files(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *common = common_problem(text_argument(fcinfo, 0));
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 1; i <= 2; i++)
	{
		char	   *name = text_argument(fcinfo, i);
		char	   *problem = common;
		const Pem  *pem = NULL;
		Datum		values[5] = {0};
		bool		nulls[5] = {false, true, true, true, true};

		if (name == NULL)
			continue;
		if (problem == NULL)
			pem = find_pem(name, i == 2, &problem);
		if (pem != NULL)
			problem = judge_time(pem);
		values[0] = CStringGetTextDatum(psprintf("%s.crt", name));
		nulls[1] = problem == NULL;
		if (problem != NULL)
			values[1] = CStringGetTextDatum(problem);
		nulls[2] = nulls[3] = nulls[4] = pem == NULL || end_of(pem) == 0;
		if (!nulls[2])
		{
			values[2] = TimestampTzGetDatum(shown_time(end_of(pem)));
			values[3] = TimestampTzGetDatum(shown_time(pem->endings.earliest));
			values[4] = TimestampTzGetDatum(shown_time(pem->endings.due));
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ---------- the setting ---------- */

/* GUC check hook: takes nothing, or a path from the root. */
static bool
check_directory(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] == '\0' || is_absolute_path(*newval))
		return true;
	GUC_check_errdetail("The directory must be an absolute path.");
	return false;
}

/* Defines iu_core.certificate_directory. */
void
iu_certificates_define_setting(void)
{
	DefineCustomStringVariable("iu_core.certificate_directory",
							   "Directory with certificates that routes may name.",
							   "NAME.crt and NAME.key, in PEM. Empty: a route has none.",
							   &certificate_directory, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   check_directory, NULL, NULL);
}
