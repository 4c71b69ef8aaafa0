/*-------------------------------------------------------------------------
 *
 * migrations.h
 *	  The migrations that this library carries, and the script of its extension.
 *	  build/migration_scripts.c, made from sql/, rollback/ and extension/sql/, has
 *	  the texts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_MIGRATIONS_H
#define IU_MIGRATIONS_H

/* A file of a migration's folder, and where it begins in the whole script. */
typedef struct IuScriptFile
{
	const char *name;			/* NULL after the last one */
	int			first_line;
} IuScriptFile;

typedef struct IuMigration
{
	int			version;		/* NNN of the folder's name */
	const char *name;			/* the rest of it */
	const IuScriptFile *files;	/* of sql/NNN_name/ */
	const char *script;			/* those files, put together */
	const char *rollback;		/* rollback/NNN_name.rollback.sql */
} IuMigration;

extern const IuMigration iu_migrations[];	/* by version, ascending */
extern const int iu_migration_count;

extern const char iu_extension_script[];

#endif							/* IU_MIGRATIONS_H */
