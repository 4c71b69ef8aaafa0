/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  The column "filter" of foreign tables: where a query may use it.
 *
 * The column shows the filter that was passed on to the remote. Where none was,
 * it has no value that could be compared: a comparison would be false for every
 * row, though a filter passed on would have found some. So such a comparison is
 * an error, wherever in the query it stands. What is left is to show the column,
 * as SELECT * does: it is NULL then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "core/compat.h"
#include "fdw/filter.h"
#include "fdw/keys.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"

/* Raises: the filter column is used where no filter goes to the remote. */
void
iu_filter_refuse(const IuTable *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" of foreign table \"%s\" can be compared with one value by = only",
					table->resource->columns[table->resource->role_columns[IU_KEY_FILTER]].name, table->name),
			 errdetail("It passes the remote's own filter through, and has no value where none is passed on."),
			 errhint("Put all conditions for the remote into one filter, and compare the column with it next to the "
					 "table itself. Where a subquery, a WITH or a DISTINCT reads the table, name the columns "
					 "instead of *."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_foreign_filter")));
}

/* Whether the expression reads this column of the relation; the number 0 is the whole row. */
static bool
reads_column(const RelOptInfo *rel, AttrNumber attribute, const void *expression)
{
	Bitmapset  *used = NULL;

	pull_varattnos((Node *) expression, rel->relid, &used);
	return bms_is_member(attribute - FirstLowInvalidHeapAttributeNumber, used);
}

/*
 * Raises where a condition of the table alone uses the filter column otherwise
 * than by passing one filter on.
 */
void
iu_filter_check(PlannerInfo *root, RelOptInfo *rel, const IuTable *table)
{
	AttrNumber	attribute = table->key_attributes[IU_KEY_FILTER];
	bool		whole_row = false;
	int			passed_on = 0;
	ListCell   *cell;

	if (attribute == 0)
		return;
	foreach(cell, rel->baserestrictinfo)
	{
		Node	   *clause = (Node *) lfirst_node(RestrictInfo, cell)->clause;

		whole_row |= reads_column(rel, 0, clause);
		if (!reads_column(rel, attribute, clause))
			continue;
		if (!iu_keys_of_clause(root, rel, table, IU_KEY_FILTER, clause) || ++passed_on > 1)
			iu_filter_refuse(table);
	}
	if (whole_row && passed_on == 0)
		iu_filter_refuse(table);
}

/* ---- whether it is shown only ---- */

/*
 * The parent's column that shows this column of a member of a UNION ALL, or of
 * a partition; 0 if none does. *only_shown is cleared if one computes with it.
 */
static AttrNumber
column_of_parent(const RelOptInfo *rel, const AppendRelInfo *append, AttrNumber attribute, bool *only_shown)
{
	AttrNumber	found = 0;
	AttrNumber	number = 0;
	ListCell   *cell;

	foreach(cell, append->translated_vars)
	{
		const Var  *var = lfirst(cell);

		number++;
		if (!reads_column(rel, attribute, var) && !reads_column(rel, 0, var))
			continue;
		if (!IsA(var, Var) || var->varattno != attribute || found != 0)
			*only_shown = false;
		found = number;
	}
	return found;
}

/*
 * The relation that the query itself names, for a member of a UNION ALL or a
 * partition, and its column that shows this one; NULL if none does.
 */
static RelOptInfo *
relation_named(PlannerInfo *root, RelOptInfo *rel, AttrNumber *attribute, bool *only_shown)
{
	while (rel->reloptkind == RELOPT_OTHER_MEMBER_REL)
	{
		const AppendRelInfo *append = root->append_rel_array[rel->relid];

		*attribute = column_of_parent(rel, append, *attribute, only_shown);
		if (*attribute == 0)
			return NULL;
		rel = find_base_rel(root, append->parent_relid);
	}
	return rel;
}

/* Whether a query of set operations is a UNION ALL throughout. */
static bool
compares_no_rows(const Node *operation)
{
	const SetOperationStmt *statement = (const SetOperationStmt *) operation;

	if (!IsA(operation, SetOperationStmt))
		return true;
	return statement->op == SETOP_UNION && statement->all &&
		compares_no_rows(statement->larg) && compares_no_rows(statement->rarg);
}

static bool only_shows_column(PlannerInfo *root, RelOptInfo *rel, AttrNumber attribute);

/*
 * Whether the query around a subquery, if it reads this column of the
 * subquery, only gives it back. The subquery is one of those in its FROM that
 * have no plan yet.
 */
static bool
only_shows_subquery(PlannerInfo *root, AttrNumber attribute)
{
	int			i;

	/* of a WITH, or a subquery in an expression, it is not known what becomes of it */
	if (root->simple_rel_array == NULL)
		return false;
	if (root->parse->setOperations != NULL)
		return compares_no_rows(root->parse->setOperations) &&
			list_nth_node(TargetEntry, root->parse->targetList, attribute - 1)->ressortgroupref == 0 &&
			(root->parent_root == NULL || only_shows_subquery(root->parent_root, attribute));
	for (i = 1; i < root->simple_rel_array_size; i++)
	{
		RelOptInfo *rel = root->simple_rel_array[i];

		if (rel != NULL && rel->rtekind == RTE_SUBQUERY && rel->subroot == NULL && attribute <= rel->max_attr &&
			!only_shows_column(root, rel, attribute))
			return false;
	}
	return true;
}

/* Whether the query, if it reads this column at all, only gives it back: no join, condition or sort needs it. */
static bool
is_only_given_back(PlannerInfo *root, const RelOptInfo *rel, AttrNumber attribute)
{
	Relids		needed = rel->attr_needed[attribute - rel->min_attr];
	ListCell   *cell;

	if (bms_is_empty(needed))
		return true;
	if (!bms_equal(needed, bms_make_singleton(0)) || reads_column(rel, attribute, root->parse->havingQual))
		return false;
	foreach(cell, root->processed_tlist)
	{
		const TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!reads_column(rel, attribute, entry->expr))
			continue;
		/* what becomes of a whole row is not followed, and a row that is locked is needed as such */
		if (entry->ressortgroupref != 0 || (attribute != 0 && (entry->resjunk || !IsA(entry->expr, Var))))
			return false;
		if (root->parent_root != NULL && !only_shows_subquery(root->parent_root, entry->resno))
			return false;
	}
	return true;
}

/* The same, which the whole row may give back as well, of a table or of a subquery that has conditions of its own. */
static bool
only_shows_column(PlannerInfo *root, RelOptInfo *rel, AttrNumber attribute)
{
	bool		only_shown = true;
	ListCell   *cell;

	if (rel->rtekind == RTE_SUBQUERY)
		foreach(cell, rel->baserestrictinfo)
		{
			const Expr *clause = lfirst_node(RestrictInfo, cell)->clause;

			if (reads_column(rel, attribute, clause) || reads_column(rel, 0, clause))
				return false;
		}
	rel = relation_named(root, rel, &attribute, &only_shown);
	return only_shown &&
		(rel == NULL || (is_only_given_back(root, rel, attribute) && is_only_given_back(root, rel, 0)));
}

/*
 * Whether the value of the filter column decides which rows the query gives, or
 * may do so: then a way to read the table must pass a filter on.
 */
bool
iu_filter_decides(PlannerInfo *root, RelOptInfo *rel, const IuTable *table)
{
	AttrNumber	attribute = table->key_attributes[IU_KEY_FILTER];

	return attribute != 0 && !only_shows_column(root, rel, attribute);
}
