/*-------------------------------------------------------------------------
 *
 * import.h
 *	  IMPORT FOREIGN SCHEMA data from Directus.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DIRECTUS_IMPORT_H
#define IU_DIRECTUS_IMPORT_H

#include "fdw/remote.h"

extern List *iu_directus_import(IuImport *import);

#endif							/* IU_DIRECTUS_IMPORT_H */
