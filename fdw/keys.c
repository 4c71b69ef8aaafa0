/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  The keys of a scan: what clauses say of them, and how they are found.
 *
 * On the collection and the id, both text: =, IN, = ANY and an OR of these; on
 * the filter, jsonb: = only. Every restriction is checked again locally, so
 * what is asked for must only be enough, never exact.
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
#include "utils/jsonb.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#define DEFAULT_ARRAY 10

static bool
is_key_column(const RelOptInfo *rel, const IuTable *table, IuRole role, const Node *node)
{
	const Var  *var = (const Var *) node;
	AttrNumber	attribute = table->key_attributes[role];

	return IsA(node, Var) && attribute != 0 &&
		var->varno == rel->relid && var->varattno == attribute && var->varlevelsup == 0;
}

/* Can be computed before the scan starts: from constants, parameters and other relations. */
static bool
is_known_before(PlannerInfo *root, const RelOptInfo *rel, Node *node)
{
	return !bms_is_member(rel->relid, pull_varnos(root, node)) &&
		!contain_volatile_functions(node) && !contain_subplans(node);
}

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
 * Whether the operator is the remote's equality, too. A nondeterministic
 * collation calls different names equal, which the remote would not.
 */
static bool
is_equality(IuRole role, Oid operator, Oid collation)
{
	if (role == IU_KEY_FILTER)
		return get_opcode(operator) == F_JSONB_EQ;
	return operator == TextEqualOperator && OidIsValid(collation) &&
		get_collation_isdeterministic(collation);
}

/* Adds the keys of column = expression, or column = ANY (expression). */
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

IuKeySet *
iu_keys_of_clause(PlannerInfo *root, const RelOptInfo *rel, const IuTable *table, IuRole role, Node *clause)
{
	IuKeySet   *keys = palloc0(sizeof(IuKeySet));

	return add_keys(root, rel, table, role, clause, keys) ? keys : NULL;
}

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
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static char *
text_of_key(IuRole role, Datum value)
{
	Jsonb	   *json;

	if (role != IU_KEY_FILTER)
		return TextDatumGetCString(value);
	json = DatumGetJsonbP(value);
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

static List *
add_array_keys(List *keys, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			i;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (i = 0; i < count; i++)
		if (!nulls[i])
			keys = lappend(keys, TextDatumGetCString(elements[i]));
	return keys;
}

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

	list_sort(keys, compare_names);
	foreach(state, keys)
		if (distinct == NIL || strcmp(llast(distinct), lfirst(state)) != 0)
			distinct = lappend(distinct, lfirst(state));
	return distinct;
}
