/*-------------------------------------------------------------------------
 *
 * trust.c
 *	  Whom a request trusts over TLS: the authorities of the host, or in their
 *	  place those that the request names. And as whom it goes: as nobody, or by a
 *	  certificate.
 *
 * curl uses a connection again only for requests that trust the same and show the
 * same certificate. It does not compare the keys; so certificate and key are one
 * text here, which it takes for the one and for the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "http/trust.h"

/* Trusts the authorities in the PEM text, and no others. False if curl cannot. */
static bool
trust_only(CURL *easy, const char *authorities)
{
	struct curl_blob blob = {(void *) authorities, strlen(authorities), CURL_BLOB_COPY};

	return curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
}

/* Shows the certificate in the PEM text, which has its key as well. False if curl cannot. */
static bool
show(CURL *easy, const char *identity)
{
	struct curl_blob blob = {(void *) identity, strlen(identity), CURL_BLOB_COPY};

	/* a passphrase of none, so that nobody is asked for one on a terminal */
	return curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &blob) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &blob) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "") == CURLE_OK;
}

/*
 * Tells curl whom a transfer trusts and as whom it goes. False if it cannot be
 * set. Raises nothing.
 *
 * authorities: PEM; NULL: those of the host. identity: certificate and key in PEM;
 * NULL: none.
 */
bool
iu_trust_prepare(CURL *easy, const char *authorities, const char *identity)
{
	bool		good = true;

	good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
	if (authorities != NULL)
		good &= trust_only(easy, authorities);
	if (identity != NULL)
		good &= show(easy, identity);
	return good;
}
