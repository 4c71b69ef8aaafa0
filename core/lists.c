/*-------------------------------------------------------------------------
 *
 * lists.c
 *	  Makes lists of keys by group out of two arrays, as one jsonb object.
 *
 * The tags of a unit are shown so, twice: by kind and by source. In SQL that
 * takes a sort and two levels of grouping for each, which for all units at once
 * costs more than writing them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(iu_keys_by_group);

typedef struct Piece
{
	char	   *bytes;
	int			length;
} Piece;

typedef struct Pair
{
	Piece		group;
	Piece		key;
} Pair;

static Piece
piece_of(Datum value)
{
	text	   *given = DatumGetTextPP(value);
	Piece		piece = {VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given)};

	return piece;
}

static int
compare_pieces(const Piece *a, const Piece *b)
{
	int			order = memcmp(a->bytes, b->bytes, Min(a->length, b->length));

	return order != 0 ? order : a->length - b->length;
}

static int
compare_pairs(const void *a, const void *b)
{
	const Pair *left = a;
	const Pair *right = b;
	int			order = compare_pieces(&left->group, &right->group);

	return order != 0 ? order : compare_pieces(&left->key, &right->key);
}

static void
take_apart(ArrayType *array, Datum **values, bool **nulls, int *count)
{
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, values, nulls, count);
}

/* Those pairs of which neither half is NULL, sorted. */
static int
sorted_pairs(ArrayType *groups, ArrayType *keys, Pair **pairs)
{
	Datum	   *group;
	Datum	   *key;
	bool	   *no_group;
	bool	   *no_key;
	int			count;
	int			second;
	int			found = 0;
	int			i;

	take_apart(groups, &group, &no_group, &count);
	take_apart(keys, &key, &no_key, &second);
	if (count != second)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("there must be as many groups as keys"),
				 errdetail("Groups: %d, keys: %d.", count, second),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_lists_of_one_length")));
	*pairs = palloc(sizeof(Pair) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		if (no_group[i] || no_key[i])
			continue;
		(*pairs)[found].group = piece_of(group[i]);
		(*pairs)[found].key = piece_of(key[i]);
		found++;
	}
	qsort(*pairs, found, sizeof(Pair), compare_pairs);
	return found;
}

static void
push(JsonbParseState **state, JsonbIteratorToken token, const Piece *piece)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = piece->bytes;
	value.val.string.len = piece->length;
	(void) pushJsonbValue(state, token, &value);
}

/*
 * iu_core.keys_by_group(groups text[], keys text[]): {group: [key, ...]} of pairs
 * that stand at the same place of both arrays. Each list has a key once.
 */
Datum
iu_keys_by_group(PG_FUNCTION_ARGS)
{
	Pair	   *pairs;
	int			count = sorted_pairs(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1), &pairs);
	JsonbParseState *state = NULL;
	int			i;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < count; i++)
	{
		bool		begins = i == 0 || compare_pieces(&pairs[i].group, &pairs[i - 1].group) != 0;

		if (begins)
		{
			push(&state, WJB_KEY, &pairs[i].group);
			(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		}
		if (begins || compare_pieces(&pairs[i].key, &pairs[i - 1].key) != 0)
			push(&state, WJB_ELEM, &pairs[i].key);
		if (i + 1 == count || compare_pieces(&pairs[i].group, &pairs[i + 1].group) != 0)
			(void) pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}
