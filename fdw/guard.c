/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Who may say where a foreign server is.
 *
 * The owner of a foreign server may change its options, but not see the
 * secrets in the user mappings of others (pg_user_mappings hides them). Whoever
 * sets the url decides where those secrets go, so for who is no superuser:
 *
 * - the url must be of an allowed origin already when it is set, not only when
 *	 it is asked for;
 * - the url of a server stays as it is while there are user mappings whose
 *	 secrets the one who changes it may not see: those of others, and those
 *	 that a file of the server holds.
 *
 * postgres_fdw has no such rule: its users trust the server's owner. The
 * validator cannot tell, as it sees neither the server nor what was there
 * before; the object access hook can. It is called with the new row written
 * but not yet visible.
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
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "core/compat.h"
#include "fdw/guard.h"
#include "foreign/foreign.h"
#include "http/egress.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static object_access_hook_type previous_hook = NULL;

static const char *
url_of(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "url") == 0)
			return defGetString(option);
	}
	return NULL;
}

/* By the C function behind it: names can be changed. */
static bool
is_our_wrapper(Oid wrapper)
{
	Oid			handler = GetForeignDataWrapper(wrapper)->fdwhandler;
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(handler));
	bool		is_ours = false;
	bool		is_null;
	Datum		source;

	if (!HeapTupleIsValid(tuple))
		return false;
	source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &is_null);
	if (!is_null)
	{
		char	   *name = TextDatumGetCString(source);

		is_ours = strcmp(name, "iu_qdrant_fdw_handler") == 0 || strcmp(name, "iu_directus_fdw_handler") == 0;
	}
	ReleaseSysCache(tuple);
	return is_ours;
}

/* As the command leaves it. NULL if it is none of ours. */
static const char *
find_new_url(Oid server, char **name)
{
	Relation	relation = table_open(ForeignServerRelationId, AccessShareLock);
	const char *url = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_foreign_server_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(server));
	scan = systable_beginscan(relation, ForeignServerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		bool		is_null;
		Datum		options = heap_getattr(tuple, Anum_pg_foreign_server_srvoptions,
										   RelationGetDescr(relation), &is_null);

		if (!is_null && is_our_wrapper(form->srvfdw))
			url = url_of(untransformRelOptions(options));
		*name = pstrdup(NameStr(form->srvname));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return url;
}

/* Whether the current user may not see the secret of this user mapping. */
static bool
is_hidden(HeapTuple tuple, TupleDesc descriptor)
{
	Oid			user = ((Form_pg_user_mapping) GETSTRUCT(tuple))->umuser;
	ListCell   *cell;
	bool		is_null;
	Datum		options;

	if (OidIsValid(user) && !has_privs_of_role(GetUserId(), user))
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

static void
guard_url(Oid server, bool is_new)
{
	char	   *name = NULL;
	const char *url = find_new_url(server, &name);
	const char *before = is_new ? NULL : url_of(GetForeignServer(server)->options);
	const char *refusal;

	if (url == NULL || (before != NULL && strcmp(url, before) == 0))
		return;
	refusal = iu_egress_refuses_url(url);
	if (refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_CREATE_EXECUTION),
				 errmsg("foreign server \"%s\" must not be there: its origin is not allowed", name),
				 errdetail("%s", refusal),
				 errhint("A superuser can add the scheme, host and port of the server's url to iu_core.allowed_origins.")));
	if (!is_new && has_hidden_secrets(server))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change option \"url\" of foreign server \"%s\"", name),
				 errdetail("It has user mappings with secrets that are not yours to see, and they would be sent to the new address."),
				 errhint("Have a superuser change it, or drop those user mappings first.")));
}

static void
guard_server(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *argument)
{
	if (previous_hook)
		previous_hook(access, class_id, object, sub_id, argument);
	if (class_id == ForeignServerRelationId &&
		(access == OAT_POST_CREATE || access == OAT_POST_ALTER) && !superuser())
		guard_url(object, access == OAT_POST_CREATE);
}

void
iu_guard_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = guard_server;
}
