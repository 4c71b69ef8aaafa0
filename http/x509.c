/*-------------------------------------------------------------------------
 *
 * x509.c
 *	  What certificates in PEM say: when they end, and whether a key is theirs.
 *
 * OpenSSL's functions say it (openssl.c). On a server without it only the outer
 * form of a file is looked at, and when a certificate ends is not known.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "core/compat.h"
#include "http/openssl.h"
#include "http/x509.h"

#define AHEAD_S (30 * 86400)	/* a certificate is to be replaced so long before its end, */
#define AHEAD_PART 3			/* or in the last third of its time where that is shorter */

typedef struct OpenSsl
{
	void	   *(*bio_new) (const void *bytes, int length);
	int			(*bio_free) (void *bio);
	void	   *(*read_certificate) (void *bio, void **to, void *callback, void *password);
	void		(*free_certificate) (void *certificate);
	const void *(*start_of) (const void *certificate);
	const void *(*end_of) (const void *certificate);
	int			(*time_to_tm) (const void *time, struct tm *to);
	void	   *(*read_key) (void *bio, void **to, void *callback, void *password);
	void		(*free_key) (void *key);
	int			(*is_key_of) (void *certificate, void *key);
	void		(*clear_errors) (void);
} OpenSsl;

/* False: this server has no OpenSSL, or one that is too old. */
static bool
find_openssl(OpenSsl *openssl)
{
	const IuOpensslFunction functions[] = {
		{"BIO_new_mem_buf", (void **) &openssl->bio_new},
		{"BIO_free", (void **) &openssl->bio_free},
		{"PEM_read_bio_X509", (void **) &openssl->read_certificate},
		{"X509_free", (void **) &openssl->free_certificate},
		{"X509_get0_notBefore", (void **) &openssl->start_of},
		{"X509_get0_notAfter", (void **) &openssl->end_of},
		{"ASN1_TIME_to_tm", (void **) &openssl->time_to_tm},
		{"PEM_read_bio_PrivateKey", (void **) &openssl->read_key},
		{"EVP_PKEY_free", (void **) &openssl->free_key},
		{"X509_check_private_key", (void **) &openssl->is_key_of},
		{"ERR_clear_error", (void **) &openssl->clear_errors}
	};

	return iu_openssl_find(functions, lengthof(functions));
}

/* How many parts of this kind (the last words of its first line) a PEM text has. */
static int
count_parts(const char *text, const char *kind)
{
	static const char begin[] = "-----BEGIN ";
	int			count = 0;

	while ((text = strstr(text, begin)) != NULL)
	{
		size_t		length;

		text += strlen(begin);
		length = strcspn(text, "\r\n");
		count += length >= strlen(kind) && strncmp(text + length - strlen(kind), kind, strlen(kind)) == 0;
	}
	return count;
}

/* In seconds since 1970; a time that cannot be read is long past. */
static int64
seconds_of(const OpenSsl *openssl, const void *asn1)
{
	struct tm	time = {0};

	return openssl->time_to_tm(asn1, &time) == 1 ? Max((int64) timegm(&time), 1) : 1;
}

/* Notes when a certificate ends. */
static void
note_end(const OpenSsl *openssl, const void *certificate, IuEndings *endings)
{
	int64		start = seconds_of(openssl, openssl->start_of(certificate));
	int64		end = seconds_of(openssl, openssl->end_of(certificate));
	int64		due = end - Min(AHEAD_S, Max(end - start, 0) / AHEAD_PART);

	if (endings->count++ == 0)
	{
		endings->of_the_first = endings->earliest = endings->latest = end;
		endings->due = due;
	}
	endings->earliest = Min(endings->earliest, end);
	endings->latest = Max(endings->latest, end);
	endings->due = Min(endings->due, due);
}

/* Reads all certificates of the text; returns the first, to be freed, or NULL. */
static void *
read_certificates(const OpenSsl *openssl, const char *text, IuEndings *endings)
{
	void	   *bio = openssl->bio_new(text, (int) strlen(text));
	void	   *first = NULL;
	void	   *certificate;

	while (bio != NULL && (certificate = openssl->read_certificate(bio, NULL, NULL, "")) != NULL)
	{
		note_end(openssl, certificate, endings);
		if (first == NULL)
			first = certificate;
		else
			openssl->free_certificate(certificate);
	}
	if (bio != NULL)
		openssl->bio_free(bio);
	return first;
}

static IuPemProblem
look_at_key(const OpenSsl *openssl, void *certificate, const char *text)
{
	void	   *bio = openssl->bio_new(text, (int) strlen(text));
	void	   *key = bio == NULL ? NULL : openssl->read_key(bio, NULL, NULL, "");
	IuPemProblem problem = IU_PEM_NO_KEY;

	if (key != NULL)
	{
		problem = openssl->is_key_of(certificate, key) == 1 ? IU_PEM_GOOD : IU_PEM_OTHER_KEY;
		openssl->free_key(key);
	}
	if (bio != NULL)
		openssl->bio_free(bio);
	return problem;
}

/*
 * What is wrong with certificates and, where it is not NULL, the key of the first
 * of them; and when they end. Raises nothing.
 */
IuPemProblem
iu_x509_look(const char *certificates, const char *key, IuEndings *endings)
{
	OpenSsl		openssl;
	IuPemProblem problem = IU_PEM_GOOD;
	int			count = count_parts(certificates, "CERTIFICATE-----");
	void	   *first;

	memset(endings, 0, sizeof(IuEndings));
	if (count == 0)
		return IU_PEM_NO_CERTIFICATE;
	if (key != NULL && count_parts(key, "PRIVATE KEY-----") != 1)
		return IU_PEM_NO_KEY;
	if (!find_openssl(&openssl))
	{
		endings->count = count;
		return IU_PEM_GOOD;
	}
	first = read_certificates(&openssl, certificates, endings);
	if (first == NULL || endings->count != count)
		problem = IU_PEM_NO_CERTIFICATE;
	else if (key != NULL)
		problem = look_at_key(&openssl, first, key);
	if (first != NULL)
		openssl.free_certificate(first);
	openssl.clear_errors();
	return problem;
}
