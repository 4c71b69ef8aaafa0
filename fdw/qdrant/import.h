/*-------------------------------------------------------------------------
 *
 * import.h
 *	  IMPORT FOREIGN SCHEMA data from Qdrant.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_IMPORT_H
#define IU_QDRANT_IMPORT_H

#include "fdw/remote.h"

extern List *iu_qdrant_import(IuImport *import);

#endif							/* IU_QDRANT_IMPORT_H */
