/*-------------------------------------------------------------------------
 *
 * names.h
 *	  Names of Directus's collections: their addresses and their list.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DIRECTUS_NAMES_H
#define IU_DIRECTUS_NAMES_H

#include "fdw/remote.h"

/* Directus says the same for what is forbidden and for what does not exist. */
#define IU_DIRECTUS_FORBIDDEN "forbidden, or no such collection"
#define IU_DIRECTUS_FORBIDDEN_HINT \
	"Directus does not tell the two apart: check the name, and that the policy of the user mapping's token " \
	"may read it; a table made by SQL is known only after Directus cleared its system cache, and without a " \
	"licence Directus 12 regards no permission with a rule or for some fields."

/* fetch->purpose, in every resource */
typedef enum IuDirectusPurpose
{
	IU_DIRECTUS_LIST,			/* GET /collections */
	IU_DIRECTUS_ACCESS,			/* GET /permissions/me */
	IU_DIRECTUS_COUNT,
	IU_DIRECTUS_PAGE,
	IU_DIRECTUS_PROBE,			/* one key, to learn what keys look like */
	IU_DIRECTUS_NAME			/* the key of an item that is too large to be read */
} IuDirectusPurpose;

extern bool iu_directus_is_system(const char *name);
extern const char *iu_directus_name_problem(const char *name);
extern char *iu_directus_path(const char *name);
extern void iu_directus_ask_list(IuScan *scan, void *state);
extern bool iu_directus_read_list(const IuJson *document, void (*each) (void *state, const char *name), void *state);
extern void iu_directus_bad_answer(IuScan *scan, const char *key, const char *problem);

#endif							/* IU_DIRECTUS_NAMES_H */
