/*-------------------------------------------------------------------------
 *
 * inventory.h
 *	  The objects of this database at one moment, and what differs between two.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_INVENTORY_H
#define IU_INVENTORY_H

/* A row of iu_core.object_states(); object_inventory() says what each column means. */
typedef struct IuObject
{
	char	   *object_class;
	char	   *name;
	char	   *owner;
	char	   *grants;			/* this and the next two: NULL for rows */
	char	   *state;
	char	   *digest;
	char	   *fingerprint;
	Oid			catalog;		/* this and the next: invalid for rows */
	Oid			oid;
} IuObject;

typedef struct IuInventory
{
	int			count;
	IuObject   *objects;		/* by class, name and fingerprint */
} IuInventory;

typedef enum IuChange
{
	IU_ADDED,
	IU_CHANGED,
	IU_REMOVED
} IuChange;

typedef void (*IuChangeCallback) (IuChange change, const IuObject *object, void *arg);

/* As the given role sees them: rows of tables it may not read are left out. */
extern IuInventory *iu_inventory_take(Oid role);

/*
 * The inventory as commands of this transaction from the given one on left it,
 * from the one before: describes only what they touched. For migrations
 * forward, whose last step, conformance, looks at everything.
 */
extern IuInventory *iu_inventory_after(const IuInventory *before, Oid role, CommandId since);
extern void iu_inventory_compare(const IuInventory *before, const IuInventory *after,
								 IuChangeCallback callback, void *arg);

#endif							/* IU_INVENTORY_H */
