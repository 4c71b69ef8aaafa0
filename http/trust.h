/*-------------------------------------------------------------------------
 *
 * trust.h
 *	  Whom a request trusts over TLS. Only for this floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_TRUST_H
#define IU_TRUST_H

#include <curl/curl.h>

extern bool iu_trust_prepare(CURL *easy, const char *authorities);

#endif							/* IU_TRUST_H */
