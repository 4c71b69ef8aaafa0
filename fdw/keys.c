/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  The keys of a scan: which clauses give them, and what they are.
 *
 * A key of a collection or an id, which are text, is given by =, IN, = ANY and
 * an OR of these; a filter, which is jsonb, by = only. The database checks
 * every clause again, or the scan does for it, so the keys must be enough to find
 * all rows that match, and may find more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

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

/* Whether the expression takes its value from rows: from other relations, or from a subquery or the query around it. */
static bool
comes_from_rows(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || (IsA(node, Param) && ((Param *) node)->paramkind != PARAM_EXTERN))
		return true;
	return expression_tree_walker(node, comes_from_rows, context);
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
	keys->by_rows |= comes_from_rows(right, NULL);
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

/*
 * Whether a row meets a clause if, and only if, its column is among the keys of
 * this role, and the executor would compare it with one after the other: column =
 * ANY (array) where the array is no constant, of which it makes a hash table.
 *
 * sets: IuKeySet, those of the role that are asked for.
 */
bool
iu_keys_decide(const RelOptInfo *rel, const IuTable *table, IuRole role, const List *sets, const Node *clause)
{
	const ScalarArrayOpExpr *op = (const ScalarArrayOpExpr *) clause;
	ListCell   *cell;

	if (!IsA(clause, ScalarArrayOpExpr) || IsA(lsecond(op->args), Const) ||
		!is_key_column(rel, table, role, linitial(op->args)))
		return false;
	foreach(cell, sets)
	{
		const IuKeySet *keys = lfirst(cell);

		if (list_length(keys->expressions) == 1 && linitial_int(keys->arrays) &&
			equal(linitial(keys->expressions), lsecond(op->args)))
			return op->useOr && is_equality(role, op->opno, op->inputcollid);
	}
	return false;
}

/* ---- values ---- */

static int
compare_keys(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* Puts C strings in the order of keys. */
void
iu_keys_sort(List *keys)
{
	list_sort(keys, compare_keys);
}

/* bsearch's words for compare_keys. */
static int
compare_cells(const void *a, const void *b)
{
	return compare_keys(a, b);
}

/* Whether a key is among these, which are in order. */
bool
iu_keys_hold(const List *keys, const char *key)
{
	ListCell	cell = {.ptr_value = unconstify(char *, key)};

	return keys != NIL && bsearch(&cell, keys->elements, list_length(keys), sizeof(ListCell), compare_cells) != NULL;
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

/* The keys that the expressions of one clause give, in order and without repetition. */
static List *
keys_of_clause(IuRole role, const IuKeySource *source, List *states, ExprContext *expressions, int clause)
{
	List	   *keys = NIL;
	List	   *distinct = NIL;
	ListCell   *cell;
	int			i;

	for (i = 0; i < list_length(states); i++)
	{
		bool		is_null;
		Datum		value;

		if (list_nth_int(source->clauses, i) != clause)
			continue;
		value = ExecEvalExprSwitchContext(list_nth(states, i), expressions, &is_null);
		if (is_null)
			continue;
		if (list_nth_int(source->arrays, i))
			keys = add_array_keys(keys, DatumGetArrayTypeP(value));
		else
			keys = lappend(keys, text_of_key(role, value));
	}
	list_sort(keys, compare_keys);
	foreach(cell, keys)
		if (distinct == NIL || strcmp(llast(distinct), lfirst(cell)) != 0)
			distinct = lappend(distinct, lfirst(cell));
	return distinct;
}

/* Those keys of one list that are in the other one, too. Both are in order. */
static List *
keys_in_both(List *keys, List *others)
{
	List	   *both = NIL;
	ListCell   *cell;
	int			i = 0;

	foreach(cell, keys)
	{
		while (i < list_length(others) && strcmp(list_nth(others, i), lfirst(cell)) < 0)
			i++;
		if (i < list_length(others) && strcmp(list_nth(others, i), lfirst(cell)) == 0)
			both = lappend(both, lfirst(cell));
	}
	return both;
}

/*
 * The keys of this role for a run of the scan: distinct C strings in the
 * current memory context. NULL equals nothing, so it is no key. Where several
 * clauses restrict the role, they are those that all of them give; but of a
 * filter those of the first, as different texts may be equal as jsonb, and the
 * database compares the others with it.
 *
 * states: ExprState of each expression.
 */
List *
iu_keys_evaluate(IuRole role, const IuKeySource *source, List *states, ExprContext *expressions)
{
	List	   *keys = NIL;
	int			latest = -1;
	int			i;

	for (i = 0; i < list_length(states); i++)
	{
		int			clause = list_nth_int(source->clauses, i);
		List	   *found;

		if (list_nth_int(source->roles, i) != (int) role || clause == latest || (role == IU_KEY_FILTER && latest >= 0))
			continue;
		found = keys_of_clause(role, source, states, expressions, clause);
		keys = latest < 0 ? found : keys_in_both(keys, found);
		latest = clause;
	}
	return keys;
}
