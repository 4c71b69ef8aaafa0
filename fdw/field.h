/*-------------------------------------------------------------------------
 *
 * field.h
 *	  From a JSON value to a value of a column's type.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_FIELD_H
#define IU_FIELD_H

#include "access/tupdesc.h"
#include "fdw/json.h"
#include "fmgr.h"

/* A typed column of a foreign table. */
typedef struct IuField
{
	const char *name;			/* of the member that it shows */
	Oid			type;			/* below its domains */
	int32		typmod;
	Oid			domain;			/* InvalidOid: none */
	void	   *domain_state;
	bool		is_array;
	Oid			element;		/* the type itself where it is no array */
	FmgrInfo	input;			/* of the element */
	Oid			ioparam;
	int16		length;
	bool		by_value;
	char		align;
	MemoryContext context;
} IuField;

extern IuField *iu_field_open(MemoryContext context, const char *name, Form_pg_attribute attribute);

extern Datum iu_field_read(IuField *field, const IuJson *value, bool *is_null);

extern bool iu_field_follows_settings(Oid type);
extern int	iu_field_fix_settings(void);
extern void iu_field_free_settings(int level);

#endif							/* IU_FIELD_H */
