/*-------------------------------------------------------------------------
 *
 * import.h
 *	  IMPORT FOREIGN SCHEMA.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_IMPORT_H
#define IU_IMPORT_H

#include "fdw/remote.h"
#include "nodes/parsenodes.h"

extern List *iu_import_schema(const IuRemote *remote, ImportForeignSchemaStmt *statement, Oid server);

#endif							/* IU_IMPORT_H */
