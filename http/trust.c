/*-------------------------------------------------------------------------
 *
 * trust.c
 *	  Whom a request trusts over TLS: the authorities of the host, or in their
 *	  place those that the request names.
 *
 * curl uses a connection again only for requests that trust the same.
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

/*
 * Tells curl whom a transfer trusts. False if it cannot be set. Raises nothing.
 *
 * authorities: PEM; NULL: those of the host.
 */
bool
iu_trust_prepare(CURL *easy, const char *authorities)
{
	bool		good = true;

	good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
	good &= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
	if (authorities != NULL)
		good &= trust_only(easy, authorities);
	return good;
}
