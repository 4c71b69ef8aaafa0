/*-------------------------------------------------------------------------
 *
 * order_digest.c
 *	  The digest of the order of a collection: MD5 of what its pieces are, one
 *	  after the other.
 *
 * It is made of every collection when it is written and once more when its rows
 * are there. In SQL that takes a sort, an aggregate and a function with settings
 * of its own, which cost as much as writing several of the rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(iu_manifest_digest);

typedef struct Piece
{
	int32		order;
	int			place;			/* in the arrays */
} Piece;

static int
compare_pieces(const void *a, const void *b)
{
	const Piece *left = a;
	const Piece *right = b;

	if (left->order != right->order)
		return left->order < right->order ? -1 : 1;
	return left->place < right->place ? -1 : left->place > right->place;
}

/* "<order>:<unit>:<role>" of each piece, with "|" between them. */
static text *
text_of_pieces(const Piece *pieces, int count, const Datum *units, const Datum *roles)
{
	StringInfoData all;
	int			i;

	initStringInfo(&all);
	for (i = 0; i < count; i++)
	{
		char	   *unit = DatumGetCString(DirectFunctionCall1(uuid_out, units[pieces[i].place]));
		text	   *role = DatumGetTextPP(roles[pieces[i].place]);

		appendStringInfo(&all, "%s%d:%s:", i > 0 ? "|" : "", pieces[i].order, unit);
		appendBinaryStringInfo(&all, VARDATA_ANY(role), VARSIZE_ANY_EXHDR(role));
		pfree(unit);
		CHECK_FOR_INTERRUPTS();
	}
	return cstring_to_text_with_len(all.data, all.len);
}

/*
 * iu_core.manifest_digest(orders int[], units uuid[], roles text[]): the digest;
 * NULL: there are no pieces. What has no order, unit or role is left out.
 */
Datum
iu_manifest_digest(PG_FUNCTION_ARGS)
{
	Datum	   *order;
	Datum	   *unit;
	Datum	   *role;
	bool	   *no_order;
	bool	   *no_unit;
	bool	   *no_role;
	int			orders;
	int			units;
	int			roles;
	int			count = 0;
	int			i;
	Piece	   *pieces;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &order, &no_order, &orders);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR,
					  &unit, &no_unit, &units);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT, &role, &no_role, &roles);
	pieces = palloc(sizeof(Piece) * (orders + 1));
	for (i = 0; i < Min(orders, Min(units, roles)); i++)
	{
		if (no_order[i] || no_unit[i] || no_role[i])
			continue;
		pieces[count].order = DatumGetInt32(order[i]);
		pieces[count++].place = i;
	}
	if (count == 0)
		PG_RETURN_NULL();
	qsort(pieces, count, sizeof(Piece), compare_pieces);
	PG_RETURN_DATUM(DirectFunctionCall1(md5_text, PointerGetDatum(text_of_pieces(pieces, count, unit, role))));
}
