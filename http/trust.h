/*-------------------------------------------------------------------------
 *
 * trust.h
 *	  Whom a request trusts over TLS, and as whom it goes. Only for this floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_TRUST_H
#define IU_TRUST_H

#include <curl/curl.h>

extern bool iu_trust_prepare(CURL *easy, const char *authorities, const char *identity);

#endif							/* IU_TRUST_H */
