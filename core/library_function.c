/*-------------------------------------------------------------------------
 *
 * library_function.c
 *	  Functions in C that a migration makes.
 *
 * A migration's script runs as iu_core_owner, who may make no function in C. The
 * scripts are the library's own text, and so are the functions: the statement is
 * carried out by the bootstrap superuser, and the function given to the owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/alter.h"
#include "commands/defrem.h"
#include "core/compat.h"
#include "core/library_function.h"
#include "core/rights.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"

#define LIBRARY "$libdir/iu_core"

static Node *
option_of(const CreateFunctionStmt *statement, const char *name)
{
	ListCell   *cell;

	foreach(cell, statement->options)
	{
		const DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return option->arg;
	}
	return NULL;
}

/*
 * Whether the statement makes a function of this library: in C, without arguments,
 * of the file MODULE_PATHNAME. Puts the library's name in its place.
 */
bool
iu_makes_library_function(Node *statement)
{
	CreateFunctionStmt *create = (CreateFunctionStmt *) statement;
	Node	   *language;
	Node	   *source;
	String	   *file;

	if (!IsA(statement, CreateFunctionStmt) || create->parameters != NIL)
		return false;
	language = option_of(create, "language");
	source = option_of(create, "as");
	if (language == NULL || strcmp(strVal(language), "c") != 0 || source == NULL || !IsA(source, List))
		return false;
	file = linitial_node(String, (List *) source);
	if (list_length((List *) source) != 2 || strcmp(strVal(file), "MODULE_PATHNAME") != 0)
		return false;
	file->sval = pstrdup(LIBRARY);
	return true;
}

/* Gives the function that the statement made to the role. Called as a superuser. */
void
iu_give_library_function(Node *statement, Oid role)
{
	AlterOwnerStmt *alter = makeNode(AlterOwnerStmt);
	ObjectWithArgs *function = makeNode(ObjectWithArgs);

	function->objname = ((CreateFunctionStmt *) statement)->funcname;
	alter->objectType = OBJECT_FUNCTION;
	alter->object = (Node *) function;
	alter->newowner = makeNode(RoleSpec);
	alter->newowner->roletype = ROLESPEC_CSTRING;
	alter->newowner->rolename = GetUserNameFromId(role, false);
	(void) ExecAlterOwnerStmt(alter);
}
