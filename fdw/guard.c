/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Who may say where a foreign server is; and what may become of the names of
 *	  columns.
 *
 * The owner of a foreign server may change its options, but may not see the
 * secrets in the user mappings of others (pg_user_mappings hides them). Whoever
 * sets the url decides where those secrets go. So for anybody but a superuser:
 *
 * - the url must be of an allowed origin when it is set, not only when a
 *	 request is sent to it;
 * - the url of a server, and the certificates that it trusts, cannot be changed
 *	 while there are user mappings whose secrets the current user may not see:
 *	 those of others, and those that a file of the database's host holds.
 *
 * postgres_fdw has no such rule: its users trust the server's owner. The
 * validator cannot enforce it, as it sees neither the server nor its url until
 * now. The object access hook can: it is called when the new row of the
 * catalog is written, and not yet visible.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_user_mapping.h"
#include "core/compat.h"
#include "fdw/directus/directus.h"
#include "fdw/guard.h"
#include "fdw/options.h"
#include "fdw/qdrant/qdrant.h"
#include "foreign/foreign.h"
#include "http/egress.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static object_access_hook_type previous_hook = NULL;

/*
 * The remote of a wrapper, NULL if the wrapper is none of iu_core: told by its
 * handler's C function, as the names of both can be changed.
 */
static const IuRemote *
remote_of_wrapper(Oid wrapper)
{
	Oid			handler = GetForeignDataWrapper(wrapper)->fdwhandler;
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(handler));
	const IuRemote *remote = NULL;
	bool		is_null;
	Datum		source;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &is_null);
	if (!is_null)
	{
		char	   *name = TextDatumGetCString(source);

		if (strcmp(name, "iu_qdrant_fdw_handler") == 0)
			remote = &iu_qdrant;
		else if (strcmp(name, "iu_directus_fdw_handler") == 0)
			remote = &iu_directus;
	}
	ReleaseSysCache(tuple);
	return remote;
}

/*
 * A row of a catalog as the running command leaves it, which is not yet visible;
 * palloc'd, NULL if there is none.
 *
 * catalog, index: on the oid; key: the number of that column.
 */
static HeapTuple
find_new_row(Relation catalog, Oid index, AttrNumber key, Oid oid)
{
	HeapTuple	tuple;
	ScanKeyData condition;
	SysScanDesc scan;

	ScanKeyInit(&condition, key, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
	scan = systable_beginscan(catalog, index, true, SnapshotSelf, 1, &condition);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

/* The row of a column as the running command leaves it; palloc'd, NULL if there is none. */
static HeapTuple
find_new_column(Relation catalog, Oid relid, AttrNumber number)
{
	HeapTuple	tuple;
	ScanKeyData conditions[2];
	SysScanDesc scan;

	ScanKeyInit(&conditions[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	ScanKeyInit(&conditions[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(number));
	scan = systable_beginscan(catalog, AttributeRelidNumIndexId, true, SnapshotSelf, 2, conditions);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

/*
 * The options of a server as the running command leaves them; NIL if its wrapper
 * is none of iu_core. *name becomes the server's name.
 */
static List *
find_new_options(Oid server, char **name)
{
	Relation	relation = table_open(ForeignServerRelationId, AccessShareLock);
	HeapTuple	tuple = find_new_row(relation, ForeignServerOidIndexId, Anum_pg_foreign_server_oid, server);
	List	   *list = NIL;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		bool		is_null;
		Datum		options = heap_getattr(tuple, Anum_pg_foreign_server_srvoptions,
										   RelationGetDescr(relation), &is_null);

		if (!is_null && remote_of_wrapper(form->srvfdw) != NULL)
			list = untransformRelOptions(options);
		*name = pstrdup(NameStr(form->srvname));
	}
	table_close(relation, AccessShareLock);
	return list;
}

/* Whether the current user may not see the secret of this user mapping. */
static bool
is_hidden(HeapTuple tuple, TupleDesc descriptor)
{
	Oid			user = ((Form_pg_user_mapping) GETSTRUCT(tuple))->umuser;
	ListCell   *cell;
	bool		is_null;
	Datum		options;

	/* pg_user_mappings shows it to the user itself, not to who has its rights and cannot become it. */
	if (OidIsValid(user) && !(has_privs_of_role(GetUserId(), user) && iu_may_become(GetUserId(), user)))
		return true;
	options = heap_getattr(tuple, Anum_pg_user_mapping_umoptions, descriptor, &is_null);
	if (is_null || has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		return false;
	foreach(cell, untransformRelOptions(options))
	{
		const char *name = lfirst_node(DefElem, cell)->defname;

		if (strlen(name) > 5 && strcmp(name + strlen(name) - 5, "_file") == 0)
			return true;
	}
	return false;
}

/* Whether the server has user mappings whose secrets the current user may not see. */
static bool
has_hidden_secrets(Oid server)
{
	Relation	relation = table_open(UserMappingRelationId, AccessShareLock);
	bool		found = false;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_user_mapping_umserver, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(server));
	scan = systable_beginscan(relation, InvalidOid, false, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = is_hidden(tuple, RelationGetDescr(relation));
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return found;
}

/* Whether a server's options of now and of before say the same of where secrets go, and whom to trust there. */
static bool
lead_to_the_same(List *options, List *before)
{
	static const char *const names[] = {"url", "ca_certificates"};
	int			i;

	for (i = 0; i < lengthof(names); i++)
	{
		const char *value = iu_option_value(options, names[i]);
		const char *old = iu_option_value(before, names[i]);

		if ((value == NULL) != (old == NULL) || (value != NULL && strcmp(value, old) != 0))
			return false;
	}
	return true;
}

/*
 * Raises if the current user may not give this server the url, or the
 * certificates, that it has now. Of changing them and giving the server a secret
 * at the same time, one waits for the other: see guard_mapping.
 */
static void
guard_url(Oid server, bool is_new)
{
	char	   *name = NULL;
	List	   *options = find_new_options(server, &name);
	const char *url = iu_option_value(options, "url");
	const char *refusal;

	if (url == NULL || (!is_new && lead_to_the_same(options, GetForeignServer(server)->options)))
		return;
	refusal = iu_egress_refuses_url(url);
	if (refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_CREATE_EXECUTION),
				 errmsg("option \"url\" of foreign server \"%s\" names an origin that is not allowed", name),
				 errdetail("%s", refusal),
				 errhint("A superuser can add the scheme, host and port of the server's url "
						 "to iu_core.allowed_origins."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_remote_origin")));
	if (is_new)
		return;
	LockDatabaseObject(ForeignServerRelationId, server, 0, ShareRowExclusiveLock);
	if (has_hidden_secrets(server))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change option \"url\" of foreign server \"%s\"", name),
				 errdetail("It has user mappings with secrets that the current user may not see, "
						   "and they would be sent to the new address, or to whom the new certificates trust."),
				 errhint("Have a superuser change it, or drop those user mappings first."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_server_url_owner")));
}

/*
 * A secret is given to a server: nobody else may change where it goes until that
 * is committed. Raises if somebody did while this waited for it.
 */
static void
guard_mapping(Oid mapping)
{
	Relation	relation = table_open(UserMappingRelationId, AccessShareLock);
	HeapTuple	tuple = find_new_row(relation, UserMappingOidIndexId, Anum_pg_user_mapping_oid, mapping);
	ForeignServer *server;

	table_close(relation, AccessShareLock);
	if (!HeapTupleIsValid(tuple))
		return;
	server = GetForeignServer(((Form_pg_user_mapping) GETSTRUCT(tuple))->umserver);
	if (remote_of_wrapper(server->fdwid) == NULL)
		return;
	LockDatabaseObject(ForeignServerRelationId, server->serverid, 0, ShareLock);
	if (!lead_to_the_same(GetForeignServer(server->serverid)->options, server->options))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("option \"url\" of foreign server \"%s\" has changed since the command began",
						server->servername),
				 errdetail("Server: %s.", server->servername),
				 errhint("Look where the secret would go, and run the command again."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_server_url_changed")));
}

/*
 * Raises where a column of a table of one collection gets another name that
 * would show something else: what it shows was told by its name.
 */
static void
guard_column(Oid relid, AttrNumber number)
{
	Relation	relation;
	HeapTuple	tuple;
	char	   *before = get_attname(relid, number, true);
	ForeignTable *table;

	if (before == NULL || get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return;
	table = GetForeignTable(relid);
	if (remote_of_wrapper(GetForeignServer(table->serverid)->fdwid) == NULL ||
		iu_option_value(table->options, "collection") == NULL)
		return;
	relation = table_open(AttributeRelationId, AccessShareLock);
	tuple = find_new_column(relation, relid, number);
	if (HeapTupleIsValid(tuple) && strcmp(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname), before) != 0 &&
		!((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped &&
		iu_option_value(GetForeignColumnOptions(relid, number), "field") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
				 errmsg("column \"%s\" of foreign table \"%s\" cannot be renamed", before, get_rel_name(relid)),
				 errdetail("Its name says what it shows: under another name it would show another field."),
				 errhint("Give a field's column option \"field\" first, with the name that it has now; "
						 "for a column that every table of its kind has, use a view."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_foreign_column")));
	table_close(relation, AccessShareLock);
}

/* The object access hook. */
static void
guard_object(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *argument)
{
	if (previous_hook)
		previous_hook(access, class_id, object, sub_id, argument);
	if (access != OAT_POST_CREATE && access != OAT_POST_ALTER)
		return;
	if (class_id == ForeignServerRelationId && !superuser())
		guard_url(object, access == OAT_POST_CREATE);
	else if (class_id == UserMappingRelationId)
		guard_mapping(object);
	else if (class_id == RelationRelationId && access == OAT_POST_ALTER && sub_id > 0)
		guard_column(object, sub_id);
}

/* Installs the hook. */
void
iu_guard_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = guard_object;
}
