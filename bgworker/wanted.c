/*-------------------------------------------------------------------------
 *
 * wanted.c
 *	  Which databases are to have workers, and whether these can run there.
 *
 * The launcher is connected to no database, so it sees only the shared catalogs,
 * and those only by scans that do without an index where the server has not
 * built its cache of shared relations yet, as after a crash.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "bgworker/wanted.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "core/compat.h"
#include "core/settings.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/relcache.h"

static void
refuse(IuVerdict *verdict, IuWorkerState state, const char *why, const char *hint)
{
	verdict->state = state;
	verdict->why = why;
	verdict->hint = hint;
}

/* A copy of the row of that name in a shared catalog; NULL: none. */
static HeapTuple
find_by_name(Oid catalog, Oid index, AttrNumber column, const char *name)
{
	Relation	relation = table_open(catalog, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(name));
	scan = systable_beginscan(relation, index, criticalSharedRelcachesBuilt, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return tuple;
}

/* Sets the role of the workers, or why they cannot run as it. */
static void
judge_role(IuVerdict *verdict)
{
	HeapTuple	tuple = find_by_name(AuthIdRelationId, AuthIdRolnameIndexId,
									 Anum_pg_authid_rolname, iu_worker_role);
	Form_pg_authid role;

	if (!HeapTupleIsValid(tuple))
	{
		refuse(verdict, IU_ROLE_MISSING,
			   psprintf("role \"%s\" does not exist", iu_worker_role),
			   "CREATE EXTENSION iu_core makes the role iu_core_worker; "
			   "another one can be named in iu_core.worker_role.");
		return;
	}
	role = (Form_pg_authid) GETSTRUCT(tuple);
	verdict->role = role->oid;
	if (role->rolsuper)
		refuse(verdict, IU_ROLE_SUPERUSER,
			   psprintf("role \"%s\" is a superuser, and workers do not run as one", iu_worker_role),
			   psprintf("ALTER ROLE %s NOSUPERUSER; or name another role in iu_core.worker_role.",
						quote_identifier(iu_worker_role)));
	else if (!role->rolcanlogin)
		refuse(verdict, IU_ROLE_NOLOGIN,
			   psprintf("role \"%s\" is not permitted to log in", iu_worker_role),
			   psprintf("ALTER ROLE %s LOGIN; it needs no password.", quote_identifier(iu_worker_role)));
}

/* Sets the database, or why workers cannot run in it. */
static void
judge_database(IuVerdict *verdict, const char *name)
{
	HeapTuple	tuple = find_by_name(DatabaseRelationId, DatabaseNameIndexId,
									 Anum_pg_database_datname, name);
	Form_pg_database database;

	if (!HeapTupleIsValid(tuple))
	{
		refuse(verdict, IU_DATABASE_MISSING, psprintf("database \"%s\" does not exist", name),
			   "Create it, or take it out of iu_core.databases.");
		return;
	}
	database = (Form_pg_database) GETSTRUCT(tuple);
	verdict->database = database->oid;
	if (database_is_invalid_form(database))
		refuse(verdict, IU_DATABASE_MISSING,
			   psprintf("database \"%s\" is invalid: its removal was interrupted", name),
			   psprintf("Finish it: DROP DATABASE %s;", quote_identifier(name)));
	else if (!database->datallowconn)
		refuse(verdict, IU_DATABASE_MISSING,
			   psprintf("database \"%s\" does not accept connections", name),
			   psprintf("ALTER DATABASE %s ALLOW_CONNECTIONS true; or take it out of iu_core.databases.",
						quote_identifier(name)));
}

/*
 * A name as CREATE DATABASE takes it: one that is too long is cut, between two
 * characters. The launcher is in no database, whose encoding it could ask for;
 * in others than UTF-8 it takes the bytes for single ones.
 */
static void
copy_name(Name to, const char *name)
{
	size_t		length = strlen(name);
	int			encoding = pg_verify_mbstr(PG_UTF8, name, length, true) ? PG_UTF8 : PG_SQL_ASCII;

	memset(to, 0, sizeof(NameData));
	memcpy(NameStr(*to), name, pg_encoding_mbcliplen(encoding, name, length, NAMEDATALEN - 1));
}

/* The databases of iu_core.databases, each with its verdict. In a transaction; in the current memory context. */
List *
iu_wanted_databases(void)
{
	IuVerdict		role = {IU_RUNNING};
	List	   *databases = NIL;
	ListCell   *cell;

	judge_role(&role);
	foreach(cell, iu_settings_list(iu_databases))
	{
		IuWanted	   *wanted = palloc0_object(IuWanted);

		copy_name(&wanted->name, lfirst(cell));
		wanted->verdict = role;
		if (role.state == IU_RUNNING)
			judge_database(&wanted->verdict, NameStr(wanted->name));
		databases = lappend(databases, wanted);
	}
	return databases;
}
