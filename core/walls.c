/*-------------------------------------------------------------------------
 *
 * walls.c
 *	  Keeps strangers from changing what iu_core governs and from taking its
 *	  names.
 *
 * What iu_core_owner owns is governed. The owner of a schema may drop what
 * others have in it, and schema public belongs to the owner of the database,
 * often the login of the application next door; members of iu_core_owner may
 * alter what it owns. Both are refused here to whoever is neither
 * iu_core_owner itself nor a superuser. What gates rest on is kept from
 * everybody, in removal.c.
 *
 * Functions and tables are found by name along the search path, so an object
 * of a stranger that has the name of a governed one, in whatever schema, could
 * be called in its place, by people and by programs: such names are refused as
 * well. So are casts and operators for governed types.
 *
 * The server calls the hook for every object of every database that is made,
 * altered or dropped, so first comes what costs least. A new or altered row of
 * the catalog is not visible to its caches yet and is read as it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/migrate.h"
#include "core/rights.h"
#include "core/walls.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static object_access_hook_type previous_hook = NULL;

/* ---- Reading the catalog ---- */

/* A row of a catalog by its oid, the newest, visible or not; NULL if there is none. The caller frees it. */
static HeapTuple
newest_row(Oid catalog, Oid index, AttrNumber oid_column, Oid object)
{
	Relation	relation = table_open(catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&key, oid_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(relation, index, true, SnapshotSelf, 1, &key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
		row = heap_copytuple(row);
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return row;
}

static bool
is_the_owner(Oid role)
{
	return OidIsValid(role) && role == get_role_oid(IU_OWNER_ROLE, true);
}

/* ---- What is governed ---- */

static bool
is_governed_relation(Oid relation)
{
	HeapTuple	row = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	bool		governed;

	if (!HeapTupleIsValid(row))
		return false;
	governed = ((Form_pg_class) GETSTRUCT(row))->relpersistence != RELPERSISTENCE_TEMP &&
		is_the_owner(((Form_pg_class) GETSTRUCT(row))->relowner);
	ReleaseSysCache(row);
	return governed;
}

static bool
is_governed_function(Oid function)
{
	HeapTuple	row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		governed;

	if (!HeapTupleIsValid(row))
		return false;
	governed = is_the_owner(((Form_pg_proc) GETSTRUCT(row))->proowner);
	ReleaseSysCache(row);
	return governed;
}

static bool
is_governed_type(Oid type)
{
	HeapTuple	row = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	bool		governed;

	if (!HeapTupleIsValid(row))
		return false;
	governed = is_the_owner(((Form_pg_type) GETSTRUCT(row))->typowner);
	ReleaseSysCache(row);
	return governed;
}

/* The table to which a constraint, trigger, rule, policy or default belongs; InvalidOid if to none. */
static Oid
table_of(Oid catalog, Oid object)
{
	HeapTuple	row = NULL;
	Oid			table = InvalidOid;

	switch (catalog)
	{
		case ConstraintRelationId:
			row = newest_row(catalog, ConstraintOidIndexId, Anum_pg_constraint_oid, object);
			table = HeapTupleIsValid(row) ? ((Form_pg_constraint) GETSTRUCT(row))->conrelid : InvalidOid;
			break;
		case TriggerRelationId:
			row = newest_row(catalog, TriggerOidIndexId, Anum_pg_trigger_oid, object);
			table = HeapTupleIsValid(row) ? ((Form_pg_trigger) GETSTRUCT(row))->tgrelid : InvalidOid;
			break;
		case RewriteRelationId:
			row = newest_row(catalog, RewriteOidIndexId, Anum_pg_rewrite_oid, object);
			table = HeapTupleIsValid(row) ? ((Form_pg_rewrite) GETSTRUCT(row))->ev_class : InvalidOid;
			break;
		case PolicyRelationId:
			row = newest_row(catalog, PolicyOidIndexId, Anum_pg_policy_oid, object);
			table = HeapTupleIsValid(row) ? ((Form_pg_policy) GETSTRUCT(row))->polrelid : InvalidOid;
			break;
		case AttrDefaultRelationId:
			row = newest_row(catalog, AttrDefaultOidIndexId, Anum_pg_attrdef_oid, object);
			table = HeapTupleIsValid(row) ? ((Form_pg_attrdef) GETSTRUCT(row))->adrelid : InvalidOid;
			break;
	}
	if (HeapTupleIsValid(row))
		heap_freetuple(row);
	return table;
}

/* Schema public counts while something governed is in it: renamed, it would take that along. */
static bool
is_governed_schema(Oid schema)
{
	return schema == get_namespace_oid("iu", true) || schema == get_namespace_oid("iu_core", true) ||
		(schema == get_namespace_oid("public", true) &&
		 is_governed_relation(get_relname_relid("iu_governed_object", schema)));
}

static bool
is_governed(Oid catalog, Oid object)
{
	switch (catalog)
	{
		case RelationRelationId:
			return is_governed_relation(object);
		case ProcedureRelationId:
			return is_governed_function(object);
		case TypeRelationId:
			return is_governed_type(object);
		case NamespaceRelationId:
			return is_governed_schema(object);
		case ConstraintRelationId:
		case TriggerRelationId:
		case RewriteRelationId:
		case PolicyRelationId:
		case AttrDefaultRelationId:
			return is_governed_relation(table_of(catalog, object));
		default:
			return false;
	}
}

/* ---- Names ---- */

static bool
is_name_of_governed_function(const char *name)
{
	CatCList   *functions = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	Oid			inside = get_namespace_oid("iu", true);
	Oid			outside = get_namespace_oid("public", true);
	bool		found = false;
	int			i;

	for (i = 0; i < functions->n_members && !found; i++)
	{
		Form_pg_proc function = (Form_pg_proc) GETSTRUCT(&functions->members[i]->tuple);

		found = (function->pronamespace == inside || function->pronamespace == outside) &&
			is_the_owner(function->proowner);
	}
	ReleaseSysCacheList(functions);
	return found;
}

static void
refuse_name(const char *kind, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_RESERVED_NAME),
			 errmsg("the name of %s \"%s\" is taken by iu_core", kind, name),
			 errdetail("Names are looked up along the search path, so it could be called or read in place of iu_core's own."),
			 errhint("Choose another name.")));
}

static void
judge_function_name(Oid function)
{
	HeapTuple	row = newest_row(ProcedureRelationId, ProcedureOidIndexId, Anum_pg_proc_oid, function);

	if (!HeapTupleIsValid(row))
		return;
	if (!is_the_owner(((Form_pg_proc) GETSTRUCT(row))->proowner) &&
		is_name_of_governed_function(NameStr(((Form_pg_proc) GETSTRUCT(row))->proname)))
		refuse_name("function", NameStr(((Form_pg_proc) GETSTRUCT(row))->proname));
	heap_freetuple(row);
}

/* A temporary table is its session's own affair. */
static void
judge_relation_name(Oid relation)
{
	HeapTuple	row = newest_row(RelationRelationId, ClassOidIndexId, Anum_pg_class_oid, relation);
	Form_pg_class form;

	if (!HeapTupleIsValid(row))
		return;
	form = (Form_pg_class) GETSTRUCT(row);
	if (form->relpersistence != RELPERSISTENCE_TEMP && form->relkind != RELKIND_TOASTVALUE &&
		form->relkind != RELKIND_INDEX && form->relkind != RELKIND_PARTITIONED_INDEX && !is_the_owner(form->relowner) &&
		is_governed_relation(get_relname_relid(NameStr(form->relname), get_namespace_oid("public", true))))
		refuse_name("relation", NameStr(form->relname));
	heap_freetuple(row);
}

static void
judge_types(Oid catalog, Oid object)
{
	HeapTuple	row;
	bool		governed;

	if (catalog == CastRelationId)
		row = newest_row(catalog, CastOidIndexId, Anum_pg_cast_oid, object);
	else
		row = newest_row(catalog, OperatorOidIndexId, Anum_pg_operator_oid, object);
	if (!HeapTupleIsValid(row))
		return;
	if (catalog == CastRelationId)
		governed = is_governed_type(((Form_pg_cast) GETSTRUCT(row))->castsource) ||
			is_governed_type(((Form_pg_cast) GETSTRUCT(row))->casttarget);
	else
		governed = is_governed_type(((Form_pg_operator) GETSTRUCT(row))->oprleft) ||
			is_governed_type(((Form_pg_operator) GETSTRUCT(row))->oprright);
	heap_freetuple(row);
	if (governed)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("casts and operators for types of iu_core are made by iu_core_owner alone"),
				 errdetail("Their functions could run with its rights.")));
}

/* What has been made, or altered into what it is now. */
static void
judge_new(Oid catalog, Oid object)
{
	switch (catalog)
	{
		case ProcedureRelationId:
			judge_function_name(object);
			break;
		case RelationRelationId:
			judge_relation_name(object);
			break;
		case CastRelationId:
		case OperatorRelationId:
			judge_types(catalog, object);
			break;
	}
}

/* ---- The hook ---- */

static void
refuse_change(const char *verb, Oid catalog, Oid object, int column)
{
	ObjectAddress address;
	char	   *name;

	ObjectAddressSubSet(address, catalog, object, column);
	name = getObjectDescription(&address, true);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot %s %s: it is governed by iu_core", verb, name != NULL ? name : "an object of iu_core"),
			 errdetail("Only %s itself and superusers may, whoever owns the schema or the database.", IU_OWNER_ROLE),
			 errhint("A rollback removes what a migration made: SELECT * FROM iu_core.rollback(...);")));
}

static bool
is_a_stranger(void)
{
	return !IsBinaryUpgrade && !superuser() && !is_the_owner(GetUserId()) && !iu_migration_is_running();
}

/* Internal deletions and changes are parts of a command that was judged itself. */
static void
guard_walls(ObjectAccessType access, Oid catalog, Oid object, int column, void *arg)
{
	if (previous_hook)
		previous_hook(access, catalog, object, column, arg);
	if (access != OAT_POST_CREATE && access != OAT_POST_ALTER && access != OAT_DROP)
		return;
	if (!IsTransactionState() || !OidIsValid(MyDatabaseId) || !is_a_stranger())
		return;
	if (access == OAT_DROP)
	{
		if ((((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL) == 0 && is_governed(catalog, object))
			refuse_change("drop", catalog, object, column);
		return;
	}
	if (access == OAT_POST_ALTER)
	{
		if (!((ObjectAccessPostAlter *) arg)->is_internal && is_governed(catalog, object))
			refuse_change("alter", catalog, object, column);
	}
	judge_new(catalog, object);
}

void
iu_walls_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = guard_walls;
}
