/*-------------------------------------------------------------------------
 *
 * walls.c
 *	  Keeps strangers from changing what iu_core governs and from taking its
 *	  names.
 *
 * What iu_core_owner owns is governed. The owner of a schema may drop what
 * others have in it, and schema public belongs to the owner of the database,
 * often the login of the application next door; members of iu_core_owner may
 * alter what it owns; a privilege that somebody granted too widely lets others
 * add triggers and foreign keys to its tables. All of this is refused here to
 * whoever is neither iu_core_owner itself nor a superuser, and so is a change
 * of the roles of iu_core (roles.c). What gates rest on is kept from everybody,
 * in removal.c.
 *
 * Functions and tables are found by name along the search path, so an object
 * of a stranger that has the name of a governed one, in whatever schema, could
 * be called in its place, by people and by programs: such names are refused as
 * well. A type counts, because a call with one untyped argument means a cast
 * where a type has the name. So are casts and operators for governed types.
 *
 * The server calls the hook for every object of every database that is made,
 * altered or dropped, so first comes what costs least. What the running command
 * has just made or altered is not visible to the caches yet, so rows are read
 * as they are: as the last command left them, and the newest.
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
#include "catalog/pg_authid.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_inherits.h"
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
#include "core/roles.h"
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

/* As the last command of the transaction left a row, and as the running one has. */
#define BEFORE NULL
#define NEWEST SnapshotSelf

/* A row by its oid, or NULL. The caller frees it. */
static HeapTuple
read_row(Relation catalog, Oid object, Snapshot snapshot)
{
	bool		is_default = RelationGetRelid(catalog) == AttrDefaultRelationId;
	Oid			index = is_default ? AttrDefaultOidIndexId : get_object_oid_index(RelationGetRelid(catalog));
	AttrNumber	column = is_default ? Anum_pg_attrdef_oid : get_object_attnum_oid(RelationGetRelid(catalog));
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(catalog, index, true, snapshot, 1, &key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
		row = heap_copytuple(row);
	systable_endscan(scan);
	return row;
}

static HeapTuple
row_of(Oid catalog, Oid object, Snapshot snapshot)
{
	Relation	relation = table_open(catalog, AccessShareLock);
	HeapTuple	row = read_row(relation, object, snapshot);

	table_close(relation, AccessShareLock);
	return row;
}

/* An oid in a row; InvalidOid where there is no such row or, as column 0 says, no such column. */
static Oid
read_oid(Oid catalog, Oid object, Snapshot snapshot, AttrNumber column)
{
	Oid			oid = InvalidOid;
	Relation	relation;
	HeapTuple	row;

	if (column == InvalidAttrNumber)
		return InvalidOid;
	relation = table_open(catalog, AccessShareLock);
	row = read_row(relation, object, snapshot);
	if (HeapTupleIsValid(row))
	{
		bool		null;
		Datum		value = heap_getattr(row, column, RelationGetDescr(relation), &null);

		oid = null ? InvalidOid : DatumGetObjectId(value);
		heap_freetuple(row);
	}
	table_close(relation, AccessShareLock);
	return oid;
}

static Oid
owner_of(Oid catalog, Oid object, Snapshot snapshot)
{
	return is_objectclass_supported(catalog)
		? read_oid(catalog, object, snapshot, get_object_attnum_owner(catalog))
		: InvalidOid;
}

static Oid
schema_of(Oid catalog, Oid object, Snapshot snapshot)
{
	return is_objectclass_supported(catalog)
		? read_oid(catalog, object, snapshot, get_object_attnum_namespace(catalog))
		: InvalidOid;
}

/* The table to which a constraint, trigger, rule, policy or default belongs; InvalidOid if to none. */
static Oid
table_of(Oid catalog, Oid object, Snapshot snapshot)
{
	HeapTuple	row;
	Oid			table = InvalidOid;

	if (catalog != ConstraintRelationId && catalog != TriggerRelationId && catalog != RewriteRelationId &&
		catalog != PolicyRelationId && catalog != AttrDefaultRelationId)
		return InvalidOid;
	row = row_of(catalog, object, snapshot);
	if (!HeapTupleIsValid(row))
		return InvalidOid;
	if (catalog == ConstraintRelationId)
		table = ((Form_pg_constraint) GETSTRUCT(row))->conrelid;
	else if (catalog == TriggerRelationId)
		table = ((Form_pg_trigger) GETSTRUCT(row))->tgrelid;
	else if (catalog == RewriteRelationId)
		table = ((Form_pg_rewrite) GETSTRUCT(row))->ev_class;
	else if (catalog == PolicyRelationId)
		table = ((Form_pg_policy) GETSTRUCT(row))->polrelid;
	else
		table = ((Form_pg_attrdef) GETSTRUCT(row))->adrelid;
	heap_freetuple(row);
	return table;
}

/* ---- What is governed ---- */

static bool
is_the_owner(Oid role)
{
	return OidIsValid(role) && role == get_role_oid(IU_OWNER_ROLE, true);
}

static bool
is_governed_relation(Oid relation)
{
	return OidIsValid(relation) && is_the_owner(owner_of(RelationRelationId, relation, BEFORE)) &&
		get_rel_persistence(relation) != RELPERSISTENCE_TEMP;
}

/* A schema in which nobody else has anything. */
static bool
is_inside(Oid schema)
{
	return OidIsValid(schema) &&
		(schema == get_namespace_oid("iu", true) || schema == get_namespace_oid("iu_core", true) ||
		 schema == get_namespace_oid("cutter_governance", true));
}

/* Schema public counts while something governed is in it: renamed, it would take that along. */
static bool
is_governed_schema(Oid schema)
{
	return is_inside(schema) ||
		(schema == get_namespace_oid("public", true) &&
		 is_governed_relation(get_relname_relid("iu_governed_object", schema)));
}

static bool
is_governed(Oid catalog, Oid object, Snapshot snapshot)
{
	if (catalog == RelationRelationId && snapshot == BEFORE)
		return is_governed_relation(object);
	if (catalog == AuthIdRelationId)
		return iu_is_own_role(object);
	if (catalog == NamespaceRelationId && is_governed_schema(object))
		return true;
	return is_the_owner(owner_of(catalog, object, snapshot)) ||
		is_governed_relation(table_of(catalog, object, snapshot));
}

/* ---- Refusals ---- */

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
			 errhint("A rollback removes what a migration made: SELECT * FROM iu_core.rollback(...);"),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_governed_object")));
}

static void
refuse_name(const char *kind, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_RESERVED_NAME),
			 errmsg("the name of %s \"%s\" is taken by iu_core", kind, name),
			 errdetail("Names are looked up along the search path, "
					   "so it could be called or read in place of iu_core's own."),
			 errhint("Choose another name."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_governed_name")));
}

/* ---- Names ---- */

/* Whether a row with this name, in whatever schema, belongs to iu_core_owner. */
static bool
is_name_of_governed(Oid catalog, int cache, const char *name)
{
	CatCList   *rows = SearchSysCacheList1(cache, CStringGetDatum(name));
	bool		found = false;
	int			i;

	for (i = 0; i < rows->n_members && !found; i++)
	{
		HeapTuple	row = &rows->members[i]->tuple;

		if (catalog == ProcedureRelationId)
			found = is_the_owner(((Form_pg_proc) GETSTRUCT(row))->proowner);
		else if (catalog == RelationRelationId)
			found = is_the_owner(((Form_pg_class) GETSTRUCT(row))->relowner) &&
				((Form_pg_class) GETSTRUCT(row))->relpersistence != RELPERSISTENCE_TEMP;
		else
			found = is_the_owner(((Form_pg_type) GETSTRUCT(row))->typowner) &&
				!isAnyTempNamespace(((Form_pg_type) GETSTRUCT(row))->typnamespace);
	}
	ReleaseSysCacheList(rows);
	return found;
}

/* A temporary table or type is its session's own affair. An index is neither called nor read. */
static void
judge_name(Oid catalog, Oid object)
{
	HeapTuple	row = row_of(catalog, object, NEWEST);
	const char *name;

	if (!HeapTupleIsValid(row))
		return;
	if (catalog == ProcedureRelationId)
	{
		name = NameStr(((Form_pg_proc) GETSTRUCT(row))->proname);
		if (is_name_of_governed(ProcedureRelationId, PROCNAMEARGSNSP, name))
			refuse_name("function", name);
	}
	else if (catalog == RelationRelationId)
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(row);

		name = NameStr(form->relname);
		if (form->relpersistence != RELPERSISTENCE_TEMP && form->relkind != RELKIND_TOASTVALUE &&
			form->relkind != RELKIND_INDEX && form->relkind != RELKIND_PARTITIONED_INDEX &&
			is_name_of_governed(RelationRelationId, RELNAMENSP, name))
			refuse_name("relation", name);
	}
	else
	{
		name = NameStr(((Form_pg_type) GETSTRUCT(row))->typname);
		if (!isAnyTempNamespace(((Form_pg_type) GETSTRUCT(row))->typnamespace) &&
			(is_name_of_governed(TypeRelationId, TYPENAMENSP, name) ||
			 is_name_of_governed(ProcedureRelationId, PROCNAMEARGSNSP, name)))
			refuse_name("type", name);
	}
	heap_freetuple(row);
}

static bool
is_governed_type(Oid type)
{
	return OidIsValid(type) && is_the_owner(owner_of(TypeRelationId, type, BEFORE));
}

static void
judge_types(Oid catalog, Oid object)
{
	HeapTuple	row = row_of(catalog, object, NEWEST);
	bool		governed;

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
				 errdetail("Their functions could run with its rights."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_governed_type")));
}

/* What has been made, or altered into what it is now. */
static void
judge_newest(Oid catalog, Oid object)
{
	Oid			schema = schema_of(catalog, object, NEWEST);

	if (is_inside(schema))
		refuse_change("put anything into", NamespaceRelationId, schema, 0);
	switch (catalog)
	{
		case ProcedureRelationId:
		case RelationRelationId:
		case TypeRelationId:
			judge_name(catalog, object);
			break;
		case CastRelationId:
		case OperatorRelationId:
			judge_types(catalog, object);
			break;
	}
}

/* ---- The hook ---- */

static bool
is_a_stranger(void)
{
	return !IsBinaryUpgrade && !superuser() && !is_the_owner(GetUserId()) && !iu_migration_is_running();
}

/*
 * Parts of a governed table count whoever made them, those that a foreign key
 * of another table needs as well. A function or view that is replaced is
 * reported as made, too.
 */
static void
judge_creation(Oid catalog, Oid object, int column)
{
	/* Of the default of a column the server names the table. */
	Oid			table = catalog == AttrDefaultRelationId ? object : table_of(catalog, object, NEWEST);

	if (is_governed_relation(table))
		refuse_change("add anything to", RelationRelationId, table, 0);
	if (is_governed(catalog, object, NEWEST))
		refuse_change("create or replace", catalog, object, column);
	judge_newest(catalog, object);
}

/* auxiliary: the table that another one is made to inherit from, the role that is given a setting. */
static void
judge_alteration(Oid catalog, Oid object, int column, Oid auxiliary)
{
	if (catalog == InheritsRelationId)
	{
		if (is_governed_relation(auxiliary))
			refuse_change("inherit from", RelationRelationId, auxiliary, 0);
		return;
	}
	if (catalog == DbRoleSettingRelationId)
	{
		if (iu_is_own_role(auxiliary))
			refuse_change("alter", AuthIdRelationId, auxiliary, 0);
		return;
	}
	if (is_governed(catalog, object, BEFORE) || is_governed(catalog, object, NEWEST))
		refuse_change("alter", catalog, object, column);
	judge_newest(catalog, object);
}

/* Internal deletions and alterations are parts of a command that was judged itself. */
static void
guard_walls(ObjectAccessType access, Oid catalog, Oid object, int column, void *arg)
{
	if (previous_hook)
		previous_hook(access, catalog, object, column, arg);
	if (access != OAT_POST_CREATE && access != OAT_POST_ALTER && access != OAT_DROP)
		return;
	if (!IsTransactionState() || !OidIsValid(MyDatabaseId) || !is_a_stranger())
		return;
	if (access == OAT_POST_CREATE)
		judge_creation(catalog, object, column);
	else if (access == OAT_POST_ALTER)
	{
		const ObjectAccessPostAlter *alteration = arg;

		if (!alteration->is_internal)
			judge_alteration(catalog, object, column, alteration->auxiliary_id);
	}
	else if ((((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL) == 0 &&
			 is_governed(catalog, object, BEFORE))
		refuse_change("drop", catalog, object, column);
}

/* Adds the hook to those of other libraries; in the postmaster. */
void
iu_walls_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = guard_walls;
}
