/*-------------------------------------------------------------------------
 *
 * inventory.c
 *	  iu_core.object_states() read into memory, and two inventories compared.
 *	  The difference is what a migration reports that it did.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/inventory.h"
#include "core/rights.h"
#include "core/touched.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* A column of the result, in the current context; NULL for NULL. */
static char *
copy_column(HeapTuple row, int column)
{
	char	   *value = SPI_getvalue(row, SPI_tuptable->tupdesc, column);

	return value == NULL ? NULL : pstrdup(value);
}

static Oid
column_oid(HeapTuple row, int column)
{
	bool		null;
	Datum		value = SPI_getbinval(row, SPI_tuptable->tupdesc, column, &null);

	return null ? InvalidOid : DatumGetObjectId(value);
}

static void
copy_objects(IuInventory *inventory, MemoryContext memory)
{
	MemoryContext spi_memory = MemoryContextSwitchTo(memory);
	uint64		i;

	inventory->count = SPI_processed;
	inventory->objects = palloc_array(IuObject, SPI_processed + 1);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];

		IuObject   *object = &inventory->objects[i];

		object->object_class = copy_column(row, 1);
		object->name = copy_column(row, 2);
		object->owner = copy_column(row, 3);
		object->grants = copy_column(row, 4);
		object->state = copy_column(row, 5);
		object->digest = copy_column(row, 6);
		object->fingerprint = copy_column(row, 7);
		object->catalog = column_oid(row, 8);
		object->oid = column_oid(row, 9);
	}
	MemoryContextSwitchTo(spi_memory);
}

/*
 * Raises anew what was raised while the catalog was read, without the text of the
 * query that read it: that is longer than a screen, and says nothing of the cause.
 */
static void
raise_without_query(MemoryContext memory)
{
	ErrorData  *error;

	MemoryContextSwitchTo(memory);
	error = CopyErrorData();
	FlushErrorState();
	error->context = pstrdup("reading what exists in the database, by iu_core.object_states()");
	error->internalquery = NULL;
	error->internalpos = 0;
	ReThrowError(error);
}

static void
query_states(ArrayType *objects)
{
	Oid			types[1] = {OIDARRAYOID};
	Datum		values[1] = {PointerGetDatum(objects)};

	if (SPI_execute_with_args("SELECT object_class, object_name, owner, grants, state, digest, fingerprint,"
							  "       catalog_id, object_id"
							  "  FROM iu_core.object_states($1)"
							  " ORDER BY object_class COLLATE pg_catalog.\"C\","
							  " object_name COLLATE pg_catalog.\"C\", fingerprint COLLATE pg_catalog.\"C\"",
							  1, types, values, objects == NULL ? "n" : NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "the inventory cannot be read");
}

/* Those of these oids and all rows; NULL: all. */
static IuInventory *
take(Oid role, ArrayType *objects)
{
	MemoryContext memory = CurrentMemoryContext;
	IuInventory *inventory = palloc0_object(IuInventory);
	IuIdentity	caller = iu_become(role);

	SPI_connect();
	PG_TRY();
	{
		query_states(objects);
	}
	PG_CATCH();
	{
		raise_without_query(memory);
	}
	PG_END_TRY();
	copy_objects(inventory, memory);
	SPI_finish();

	iu_become_again(caller);
	return inventory;
}

/* Every object of the database, in the current memory context, as the role sees it. */
IuInventory *
iu_inventory_take(Oid role)
{
	return take(role, NULL);
}

/* ---- What a script left ---- */

static bool
trigger_exists(Oid trigger)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool		exists;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	exists = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return exists;
}

static bool
still_exists(const IuObject *object)
{
	switch (object->catalog)
	{
		case RelationRelationId:
			return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(object->oid));
		case ProcedureRelationId:
			return SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(object->oid));
		case TypeRelationId:
			return SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(object->oid));
		case NamespaceRelationId:
			return SearchSysCacheExists1(NAMESPACEOID, ObjectIdGetDatum(object->oid));
		case TriggerRelationId:
			return trigger_exists(object->oid);
		default:
			return false;
	}
}

static ArrayType *
oid_array(const List *oids)
{
	Datum	   *elements = palloc(sizeof(Datum) * (list_length(oids) + 1));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, oids)
		elements[count++] = ObjectIdGetDatum(lfirst_oid(cell));
	return construct_array(elements, count, OIDOID, sizeof(Oid), true, TYPALIGN_INT);
}

static int
compare_objects(const IuObject *a, const IuObject *b)
{
	int			result = strcmp(a->object_class, b->object_class);

	return result != 0 ? result : strcmp(a->name, b->name);
}

static int
compare_entries(const void *a, const void *b)
{
	return compare_objects((const IuObject *) a, (const IuObject *) b);
}

/*
 * The inventory before, with what commands of this transaction from "since" on
 * have touched described anew and what they dropped left out.
 */
IuInventory *
iu_inventory_after(const IuInventory *before, Oid role, CommandId since)
{
	List	   *touched = iu_touched_since(since);
	IuInventory *described = take(role, oid_array(touched));
	IuInventory *after = palloc0_object(IuInventory);
	int			i;

	after->objects = palloc_array(IuObject, before->count + described->count + 1);
	for (i = 0; i < before->count; i++)
	{
		const IuObject *object = &before->objects[i];

		if (OidIsValid(object->oid) && !list_member_oid(touched, object->oid) && still_exists(object))
			after->objects[after->count++] = *object;
	}
	for (i = 0; i < described->count; i++)
		after->objects[after->count++] = described->objects[i];
	qsort(after->objects, after->count, sizeof(IuObject), compare_entries);
	return after;
}

/* ---- What differs ---- */

/*
 * Tells the callback of each object that was added, changed or removed between
 * two inventories, in order of class and name.
 */
void
iu_inventory_compare(const IuInventory *before, const IuInventory *after,
					 IuChangeCallback callback, void *arg)
{
	int			b = 0;
	int			a = 0;

	while (b < before->count || a < after->count)
	{
		int			order;

		if (b == before->count)
			order = 1;
		else if (a == after->count)
			order = -1;
		else
			order = compare_objects(&before->objects[b], &after->objects[a]);

		if (order < 0)
			callback(IU_REMOVED, &before->objects[b++], arg);
		else if (order > 0)
			callback(IU_ADDED, &after->objects[a++], arg);
		else
		{
			if (strcmp(before->objects[b].fingerprint, after->objects[a].fingerprint) != 0)
				callback(IU_CHANGED, &after->objects[a], arg);
			a++;
			b++;
		}
	}
}
