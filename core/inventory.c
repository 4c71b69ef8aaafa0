/*-------------------------------------------------------------------------
 *
 * inventory.c
 *	  iu_core.object_inventory() read into memory, and two of them compared.
 *	  The difference is what a migration reports that it did.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/inventory.h"
#include "core/rights.h"
#include "executor/spi.h"

/* A column of the result, in the current context; NULL for NULL. */
static char *
copy_column(HeapTuple row, int column)
{
	char	   *value = SPI_getvalue(row, SPI_tuptable->tupdesc, column);

	return value == NULL ? NULL : pstrdup(value);
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
	}
	MemoryContextSwitchTo(spi_memory);
}

IuInventory *
iu_inventory_take(Oid role)
{
	MemoryContext memory = CurrentMemoryContext;
	IuInventory *inventory = palloc0_object(IuInventory);
	IuIdentity	caller = iu_become(role);

	SPI_connect();
	if (SPI_execute("SELECT object_class, object_name, owner, grants, state, digest, fingerprint"
					"  FROM iu_core.object_inventory()"
					" ORDER BY object_class COLLATE pg_catalog.\"C\","
					" object_name COLLATE pg_catalog.\"C\", fingerprint COLLATE pg_catalog.\"C\"",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "the inventory cannot be read");
	copy_objects(inventory, memory);
	SPI_finish();

	iu_become_again(caller);
	return inventory;
}

static int
compare_objects(const IuObject *a, const IuObject *b)
{
	int			result = strcmp(a->object_class, b->object_class);

	return result != 0 ? result : strcmp(a->name, b->name);
}

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
