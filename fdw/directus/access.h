/*-------------------------------------------------------------------------
 *
 * access.h
 *	  How much of a collection of Directus the token sees.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DIRECTUS_ACCESS_H
#define IU_DIRECTUS_ACCESS_H

#include "fdw/remote.h"

typedef enum IuDirectusAccess
{
	IU_ACCESS_UNKNOWN,			/* the remote does not say */
	IU_ACCESS_NONE,
	IU_ACCESS_PARTIAL,			/* some items only, or nobody can tell */
	IU_ACCESS_FIELDS,			/* every item, some fields only */
	IU_ACCESS_FULL
} IuDirectusAccess;

/* A code by which Directus 12 says that its licence forbids something. */
typedef struct IuDirectusLicence
{
	const char *code;
	const char *reason;			/* as in IuFailure */
	const char *hint;
} IuDirectusLicence;

extern const IuDirectusLicence *iu_directus_licence(const IuJson *document);
extern const char *iu_directus_access_word(IuDirectusAccess access);
extern bool iu_directus_access_of(const IuJson *document, const char *name, IuDirectusAccess *access);
extern bool iu_directus_accepts_part(const IuQuery *query);
extern void iu_directus_ask_access(IuScan *scan, const char *key, void *state);
extern bool iu_directus_sees_all(IuScan *scan, const char *name, IuDirectusAccess access);
extern void iu_directus_access_unclear(IuScan *scan, const char *name, int status);

#endif							/* IU_DIRECTUS_ACCESS_H */
