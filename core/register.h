/*-------------------------------------------------------------------------
 *
 * register.h
 *	  What a migration changed becomes the register of governed objects.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_REGISTER_H
#define IU_REGISTER_H

#include "core/inventory.h"
#include "nodes/pg_list.h"

typedef struct IuRegisterChange
{
	const char *change;			/* added, changed or removed */
	const IuObject *object;		/* as it is now; a removed one as it was */
} IuRegisterChange;

/*
 * Hands the changes of a migration, or of its rollback, to iu.fn_iu_govern() as
 * the role, which refuses what a migration may not do. Does nothing where the
 * function is not there: before migration 001, and after its rollback.
 */
extern void iu_register_changes(int version, bool rolls_back, const List *changes, Oid role);

#endif							/* IU_REGISTER_H */
