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

/* What a remote's import_data returns: a table that IMPORT FOREIGN SCHEMA data makes. */
typedef struct IuImportedTable
{
	const char *collection;		/* the table is named after it */
	const char *resource;
	List	   *columns;		/* IuImportedColumn */
	List	   *options;		/* DefElem, beside "resource" and "collection" */
} IuImportedTable;

/*
 * Its columns. Names need not be unique, nor short enough for the database:
 * the table's get a number where they would be the same.
 */
typedef struct IuImportedColumn
{
	const char *name;
	const char *type;			/* as SQL, e.g. "timestamptz" */
	const char *field;			/* the field that it shows; NULL: it is a column of the resource */
} IuImportedColumn;

extern List *iu_import_schema(const IuRemote *remote, ImportForeignSchemaStmt *statement, Oid server_id);

/* ---- what a remote's import_data may call ---- */

extern bool iu_import_wants(IuImport *import, const char *collection);
extern bool iu_import_is_typed(IuImport *import);
extern const IuJson *iu_import_ask(IuImport *import, const char *method, const char *path,
								   const char *body, const char *key);
extern void iu_import_fail(IuImport *import, const char *key, const IuFailure *failure);
extern List *iu_import_column(List *columns, const char *name, const char *type, const char *field);

#endif							/* IU_IMPORT_H */
