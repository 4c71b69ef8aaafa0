/*-------------------------------------------------------------------------
 *
 * register.c
 *	  What a migration changed becomes the register of governed objects, by one
 *	  call of a function of migration 001 that takes the changes as arrays.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/compat.h"
#include "core/policy.h"
#include "core/register.h"
#include "core/rights.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* The columns of a change, in the order of the function's arguments. */
enum
{
	CHANGE,
	CLASS,
	NAME,
	OWNER,
	GRANTS,
	STATE,
	DIGEST,
	COLUMNS
};

static const char *
column_of(const IuRegisterChange *change, int column)
{
	switch (column)
	{
		case CHANGE:
			return change->change;
		case CLASS:
			return change->object->object_class;
		case NAME:
			return change->object->name;
		case OWNER:
			return change->object->owner;
		case GRANTS:
			return change->object->grants;
		case STATE:
			return change->object->state;
		default:
			return change->object->digest;
	}
}

/* One column of all changes, as an array of text. */
static Datum
column_array(const List *changes, int column)
{
	int			count = list_length(changes);
	int			lower_bound = 1;
	Datum	   *elements = palloc(sizeof(Datum) * (count + 1));
	bool	   *nulls = palloc(sizeof(bool) * (count + 1));
	int			i;

	for (i = 0; i < count; i++)
	{
		const char *value = column_of(list_nth(changes, i), column);

		nulls[i] = value == NULL;
		elements[i] = value == NULL ? (Datum) 0 : CStringGetTextDatum(value);
	}
	return PointerGetDatum(construct_md_array(elements, nulls, 1, &count, &lower_bound, TEXTOID, -1, false,
											  TYPALIGN_INT));
}

/* One call of iu.fn_iu_govern() with the changes of a migration, as the role. */
void
iu_register_changes(int version, bool rolls_back, const List *changes, Oid role)
{
	static const Oid types[2 + COLUMNS] = {
		INT4OID, BOOLOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID
	};
	Datum		values[2 + COLUMNS];
	IuIdentity	caller;
	int			column;

	if (!OidIsValid(iu_policy_function("fn_iu_govern", lengthof(types), types)))
		return;
	values[0] = Int32GetDatum(version);
	values[1] = BoolGetDatum(rolls_back);
	for (column = 0; column < COLUMNS; column++)
		values[2 + column] = column_array(changes, column);

	caller = iu_become(role);
	SPI_connect();
	if (SPI_execute_with_args("SELECT " IU_POLICY_SCHEMA ".fn_iu_govern($1, $2, $3, $4, $5, $6, $7, $8, $9)",
							  lengthof(types), (Oid *) types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "the changes of migration %d could not be registered", version);
	SPI_finish();
	iu_become_again(caller);
}
