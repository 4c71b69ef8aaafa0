/*-------------------------------------------------------------------------
 *
 * removal.c
 *	  Keeps what gates rest on from being dropped, by whatever way.
 *
 * The server calls the hook for each object that a command is about to delete,
 * those that CASCADE, DROP OWNED or DROP SCHEMA take along included. What is
 * ours is refused while a gate is open, always, and while migrations are
 * applied, unless a superuser said iu_core.allow_removal for the session. A
 * run of the migration runner passes: a rollback has made sure that every gate
 * is closed and keeps them so until its end.
 *
 * Objects are recognised by schema and name, as the gate check finds them.
 * What is renamed or moved away is therefore no longer ours, but then the
 * check does not find it either, and all gates read closed.
 *
 * The hook runs for every drop of every database of the server, so first comes
 * what costs nothing, and nothing in it raises but the refusal.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "core/compat.h"
#include "core/gate.h"
#include "core/migrate.h"
#include "core/removal.h"
#include "core/rights.h"
#include "core/settings.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static object_access_hook_type previous_hook = NULL;

/* ---- What is ours ---- */

static bool
begins_with(const char *name, const char *beginning)
{
	return strncmp(name, beginning, strlen(beginning)) == 0;
}

/* Of a table or view in public, and of what belongs to it: dot_config_pkey, ix_iu_gate_... */
static bool
is_name_of_gates(const char *name)
{
	if (begins_with(name, "ix_"))
		name += 3;
	else if (begins_with(name, "v_"))
		name += 2;
	return begins_with(name, "dot_config") || begins_with(name, "iu_gate");
}

static bool
is_function_of_gates(const char *name)
{
	return begins_with(name, "fn_iu_gate_") || strcmp(name, "fn_iu_rollback_guard") == 0 ||
		strcmp(name, "fn_dot_config_touch") == 0 || strcmp(name, "fn_iu_append_only") == 0;
}

/* The tables that the check reads, whosever they became. */
static bool
is_table_of_check(const char *name)
{
	return strcmp(name, "dot_config") == 0 || strcmp(name, "iu_gate_registry") == 0 ||
		strcmp(name, "iu_gate_transition") == 0 || strcmp(name, "iu_gate_revocation") == 0;
}

/*
 * By schema, and in public by name and owner: whoever may create there may
 * also remove what they made, whatever its name.
 */
static bool
is_guarded_there(Oid schema, bool name_fits, Oid owner)
{
	if (schema == get_namespace_oid("iu_core", true))
		return true;
	return name_fits && (schema == get_namespace_oid("public", true) || schema == get_namespace_oid("iu", true)) &&
		(!OidIsValid(owner) || owner == get_role_oid(IU_OWNER_ROLE, true) || superuser_arg(owner));
}

static bool
is_guarded_relation(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Form_pg_class form;
	Oid			table = InvalidOid;
	bool		guarded;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	guarded = is_guarded_there(form->relnamespace, is_name_of_gates(NameStr(form->relname)),
							   is_table_of_check(NameStr(form->relname)) ? InvalidOid : form->relowner);
	/* An index of such a name on another table is nothing to us. */
	if (guarded && (form->relkind == RELKIND_INDEX || form->relkind == RELKIND_PARTITIONED_INDEX))
		table = IndexGetRelation(relation, true);
	ReleaseSysCache(tuple);
	return guarded && (!OidIsValid(table) || is_guarded_relation(table));
}

static bool
is_guarded_function(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool		guarded;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	guarded = is_guarded_there(form->pronamespace, is_function_of_gates(NameStr(form->proname)), form->proowner);
	ReleaseSysCache(tuple);
	return guarded;
}

static bool
is_guarded_type(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	bool		guarded;

	if (!HeapTupleIsValid(tuple))
		return false;
	guarded = is_guarded_there(((Form_pg_type) GETSTRUCT(tuple))->typnamespace, false, InvalidOid);
	ReleaseSysCache(tuple);
	return guarded;
}

static bool
is_guarded_constraint(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	bool		guarded;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	guarded = OidIsValid(form->conrelid) && is_name_of_gates(NameStr(form->conname)) &&
		is_guarded_relation(form->conrelid);
	ReleaseSysCache(tuple);
	return guarded;
}

/* A trigger is what it calls: those of strangers on our tables are theirs. Partitions go with theirs. */
static bool
is_guarded_trigger(Oid trigger)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		guarded = false;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		guarded = !form->tgisinternal && is_guarded_function(form->tgfoid) &&
			get_rel_persistence(form->tgrelid) != RELPERSISTENCE_TEMP && !get_rel_relispartition(form->tgrelid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return guarded;
}

static bool
is_guarded(Oid class, Oid object)
{
	switch (class)
	{
		case RelationRelationId:
			return is_guarded_relation(object);
		case ProcedureRelationId:
			return is_guarded_function(object);
		case TypeRelationId:
			return is_guarded_type(object);
		case ConstraintRelationId:
			return is_guarded_constraint(object);
		case TriggerRelationId:
			return is_guarded_trigger(object);
		case NamespaceRelationId:
			return object == get_namespace_oid("iu_core", true) || object == get_namespace_oid("iu", true);
		case ExtensionRelationId:
			return object == get_extension_oid("iu_core", true);
		default:
			return false;
	}
}

/* ---- Whether it may go ---- */

/* Whether the runner's record has a row. */
static bool
any_migration_is_applied(void)
{
	Oid			record = get_relname_relid("applied_migration", get_namespace_oid("iu_core", true));
	Relation	relation;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot;
	bool		found;

	if (!OidIsValid(record) || get_rel_relkind(record) != RELKIND_RELATION)
		return false;
	relation = table_open(record, AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	slot = table_slot_create(relation, NULL);
	scan = table_beginscan(relation, snapshot, 0, NULL);
	found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(relation, AccessShareLock);
	return found;
}

/* Nobody opens a gate any more until the transaction ends; who is about to is waited for. */
static void
keep_gates_as_they_are(void)
{
	static const char *const tables[] = {"dot_config", "iu_gate_transition"};
	Oid			schema = get_namespace_oid("public", true);
	int			i;

	for (i = 0; i < lengthof(tables); i++)
	{
		Oid			table = get_relname_relid(tables[i], schema);

		if (OidIsValid(table))
			LockRelationOid(table, ShareRowExclusiveLock);
	}
}

static char *
name_of(Oid class, Oid object, int column)
{
	ObjectAddress address;
	char	   *name;

	ObjectAddressSubSet(address, class, object, column);
	name = getObjectDescription(&address, true);
	return name != NULL ? name : "an object of iu_core";
}

static void
refuse_while_a_gate_is_true(Oid class, Oid object, int column)
{
	char	   *gate = iu_gate_any_true();

	if (gate != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop %s: gate \"%s\" is true", name_of(class, object, column), gate),
				 errdetail("Gates rest on it, and on what would go with it."),
				 errhint("Close the gate: SELECT fn_iu_gate_close(%s, session_user, 'reason');",
						 quote_literal_cstr(gate)),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_removal_gate_open")));
}

/* One line for each transaction that takes something away. */
static void
log_removal(Oid class, Oid object, int column)
{
	static LocalTransactionId logged = InvalidLocalTransactionId;

	if (iu_local_transaction() == logged)
		return;
	logged = iu_local_transaction();
	ereport(LOG,
			(errmsg("iu_core.allow_removal lets %s be dropped", name_of(class, object, column))));
}

static void
judge_removal(Oid class, Oid object, int column)
{
	if (iu_migration_is_running())
		return;
	if (iu_allow_removal)
		keep_gates_as_they_are();
	refuse_while_a_gate_is_true(class, object, column);
	if (!any_migration_is_applied())
		return;
	if (!iu_allow_removal)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop %s: migrations of iu_core are applied", name_of(class, object, column)),
				 errdetail("Gates rest on it, and on what would go with it."),
				 errhint("Roll the migrations back: SELECT * FROM iu_core.rollback(0); "
						 "to remove all at once or to restore over this database, "
						 "with every gate closed, a superuser allows it for the session: "
						 "SET iu_core.allow_removal = on;"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_removal_migrated")));
	log_removal(class, object, column);
}

/*
 * Internal deletions replace what they delete (REINDEX, a rewritten
 * constraint) or clear away temporary objects.
 */
static void
guard_removal(ObjectAccessType access, Oid class, Oid object, int column, void *arg)
{
	if (previous_hook)
		previous_hook(access, class, object, column, arg);
	if (access != OAT_DROP || IsBinaryUpgrade ||
		(((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL) != 0)
		return;
	if (is_guarded(class, object))
		judge_removal(class, object, column);
}

/* Adds the hook to those of other libraries; in the postmaster. */
void
iu_removal_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = guard_removal;
}
