/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Who may say where a foreign server is.
 *
 * The owner of a foreign server may change its options, but may not see the
 * secrets in the user mappings of others (pg_user_mappings hides them). Whoever
 * sets the url decides where those secrets go. So for anybody but a superuser:
 *
 * - the url must be of an allowed origin when it is set, not only when a
 *	 request is sent to it;
 * - the url of a server cannot be changed while there are user mappings whose
 *	 secrets the current user may not see: those of others, and those that a
 *	 file of the database's host holds.
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
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_user_mapping.h"
#include "core/compat.h"
#include "fdw/guard.h"
#include "fdw/options.h"
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

/* Whether a wrapper is one of iu_core, told by its handler's C function, as the names of both can be changed. */
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

/*
 * The url of a server as the running command leaves it; NULL if its wrapper is
 * none of iu_core. *name becomes the server's name.
 */
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
			url = iu_option_value(untransformRelOptions(options), "url");
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

/* Raises if the current user may not give this server the url that it has now. */
static void
guard_url(Oid server, bool is_new)
{
	char	   *name = NULL;
	const char *url = find_new_url(server, &name);
	const char *before = is_new ? NULL : iu_option_value(GetForeignServer(server)->options, "url");
	const char *refusal;

	if (url == NULL || (before != NULL && strcmp(url, before) == 0))
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
	if (!is_new && has_hidden_secrets(server))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change option \"url\" of foreign server \"%s\"", name),
				 errdetail("It has user mappings with secrets that the current user may not see, "
						   "and they would be sent to the new address."),
				 errhint("Have a superuser change it, or drop those user mappings first."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_server_url_owner")));
}

/* The object access hook. */
static void
guard_server(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *argument)
{
	if (previous_hook)
		previous_hook(access, class_id, object, sub_id, argument);
	if (class_id == ForeignServerRelationId &&
		(access == OAT_POST_CREATE || access == OAT_POST_ALTER) && !superuser())
		guard_url(object, access == OAT_POST_CREATE);
}

/* Installs the hook. */
void
iu_guard_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = guard_server;
}
