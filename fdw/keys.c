/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  The keys of a scan: which clauses give them, and what they are.
 *
 * A key of a collection or an id, which are text, is given by =, IN, = ANY and
 * an OR of these; a filter, which is jsonb, by = only. The database checks
 * every clause again, so the keys must be enough to find all rows that match,
 * and may find more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "core/compat.h"
#include "executor/executor.h"
#include "fdw/keys.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#define DEFAULT_ARRAY 10

/* Whether the node is the column of this role, of this very relation. */
static bool
is_key_column(const RelOptInfo *rel, const IuTable *table, IuRole role, const Node *node)
{
	const Var  *var = (const Var *) node;
	AttrNumber	attribute = table->key_attributes[role];

	return IsA(node, Var) && attribute != 0 &&
		var->varno == rel->relid && var->varattno == attribute && var->varlevelsup == 0;
}

/* Whether the expression can be computed before the scan starts: from constants, parameters and other relations. */
static bool
is_known_before(PlannerInfo *root, const RelOptInfo *rel, Node *node)
{
	return !bms_is_member(rel->relid, pull_varnos(root, node)) &&
		!contain_volatile_functions(node) && !contain_subplans(node);
}

/* About how many elements the array has that this expression gives. */
static double
estimate_elements(Node *node)
{
	if (IsA(node, Const) && !((Const *) node)->constisnull)
	{
		ArrayType  *array = DatumGetArrayTypeP(((Const *) node)->constvalue);

		return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	}
	if (IsA(node, ArrayExpr) && !((ArrayExpr *) node)->multidims)
		return list_length(((ArrayExpr *) node)->elements);
	return DEFAULT_ARRAY;
}

/*
 * Whether the operator finds the same values equal as the remote does. With a
 * nondeterministic collation it does not: different names may be equal then.
 */
static bool
is_equality(IuRole role, Oid operator, Oid collation)
{
	if (role == IU_KEY_FILTER)
		return get_opcode(operator) == F_JSONB_EQ;
	return operator == TextEqualOperator && OidIsValid(collation) &&
		get_collation_isdeterministic(collation);
}

/*
 * Adds the keys that a comparison gives: column = expression, either way
 * round, or if is_array, column = ANY (expression). False if it gives none.
 */
static bool
add_comparison(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table, IuRole role,
			   IuKeySet *keys, Oid operator, Oid collation, List *arguments, bool is_array)
{
	Node	   *left = linitial(arguments);
	Node	   *right = lsecond(arguments);

	if (!is_equality(role, operator, collation))
		return false;
	if (!is_array && is_key_column(rel, table, role, right))
	{
		left = right;
		right = linitial(arguments);
	}
	if (!is_key_column(rel, table, role, left) || !is_known_before(root, rel, right))
		return false;
	keys->expressions = lappend(keys->expressions, right);
	keys->arrays = lappend_int(keys->arrays, is_array);
	keys->count += is_array ? estimate_elements(right) : 1;
	return true;
}

/*
 * Adds the keys of this role that a clause gives; of an OR, those of all its
 * parts. False if the clause, or a part, gives none: then keys is of no use.
 */
static bool
add_keys(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table, IuRole role, Node *clause,
		 IuKeySet *keys)
{
	ListCell   *cell;

	if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		OpExpr	   *op = (OpExpr *) clause;

		return add_comparison(root, rel, table, role, keys, op->opno, op->inputcollid, op->args, false);
	}
	if (role == IU_KEY_FILTER)
		return false;
	if (IsA(clause, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) clause)->useOr)
	{
		ScalarArrayOpExpr *op = (ScalarArrayOpExpr *) clause;

		return add_comparison(root, rel, table, role, keys, op->opno, op->inputcollid, op->args, true);
	}
	if (!is_orclause(clause))
		return false;
	foreach(cell, ((BoolExpr *) clause)->args)
		if (!add_keys(root, rel, table, role, lfirst(cell), keys))
			return false;
	return true;
}

/*
 * The keys of this role that a clause of the relation gives; NULL if it says
 * nothing about the role.
 *
 * clause: of a RestrictInfo; what it compares the column with may be of other
 * relations.
 */
IuKeySet *
iu_keys_of_clause(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table, IuRole role, Node *clause)
{
	IuKeySet   *keys = palloc0(sizeof(IuKeySet));

	return add_keys(root, rel, table, role, clause, keys) ? keys : NULL;
}

/* Whether the column of this role stands anywhere in the clause. */
bool
iu_keys_mention(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table, IuRole role, Node *clause)
{
	Bitmapset  *used = NULL;

	if (table->key_attributes[role] == 0)
		return false;
	pull_varattnos(clause, rel->relid, &used);
	return bms_is_member(table->key_attributes[role] - FirstLowInvalidHeapAttributeNumber, used);
}

/* ---- values ---- */

static int
compare_keys(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* A key as a C string: a filter as the text of its jsonb. */
static char *
text_of_key(IuRole role, Datum value)
{
	Jsonb	   *json;

	if (role != IU_KEY_FILTER)
		return TextDatumGetCString(value);
	json = DatumGetJsonbP(value);
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* Adds the elements of an array, without NULLs. */
static List *
add_array_keys(List *keys, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			i;

	/* an array of varchar, or of a domain of it, has the same elements as one of text */
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (i = 0; i < count; i++)
		if (!nulls[i])
			keys = lappend(keys, TextDatumGetCString(elements[i]));
	return keys;
}

/*
 * The keys of this role for a run of the scan: distinct C strings in the
 * current memory context. NULL equals nothing, so it is no key.
 *
 * states: ExprState of each expression that gives keys; roles, arrays: int
 * lists beside it, of its role and whether it gives an array.
 */
List *
iu_keys_evaluate(IuRole role, List *states, List *roles, List *arrays, ExprContext *expressions)
{
	List	   *keys = NIL;
	List	   *distinct = NIL;
	ListCell   *state;
	ListCell   *its_role;
	ListCell   *is_array;

	forthree(state, states, its_role, roles, is_array, arrays)
	{
		bool		is_null;
		Datum		value;

		if (lfirst_int(its_role) != (int) role)
			continue;
		value = ExecEvalExprSwitchContext(lfirst(state), expressions, &is_null);
		if (is_null)
			continue;
		if (lfirst_int(is_array))
			keys = add_array_keys(keys, DatumGetArrayTypeP(value));
		else
			keys = lappend(keys, text_of_key(role, value));
	}

	list_sort(keys, compare_keys);
	foreach(state, keys)
		if (distinct == NIL || strcmp(llast(distinct), lfirst(state)) != 0)
			distinct = lappend(distinct, lfirst(state));
	return distinct;
}
