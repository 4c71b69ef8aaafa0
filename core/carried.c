/*-------------------------------------------------------------------------
 *
 * carried.c
 *	  Whether the functions of the migrations and of the extension have the
 *	  bodies that this library carries.
 *
 * Conformance compares everything with what the migrations made, but it is made
 * of functions itself. One that a superuser replaced would say of itself that all
 * is well. So the library, which has the text of every function, looks for itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "core/carried.h"
#include "core/compat.h"
#include "core/migrations.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/syscache.h"

#define CREATE_FUNCTION "\nCREATE FUNCTION "
#define BODY "AS $function$"
#define BODY_END "$function$"
#define SYMBOL "AS 'MODULE_PATHNAME', '"

/* A function of a script. */
typedef struct Carried
{
	char	   *schema;
	char	   *name;
	char	   *source;			/* as pg_proc.prosrc has it; empty for an expression that is bound when it is made */
} Carried;

/* The place of a text within a statement, behind it; NULL: there is none. */
static const char *
behind(const char *from, const char *text, const char *end)
{
	const char *found = strstr(from, text);

	return found != NULL && found < end ? found + strlen(text) : NULL;
}

static char *
source_of(const char *from, const char *end)
{
	const char *source = behind(from, BODY, end);
	const char *mark = BODY_END;

	if (source == NULL)
	{
		source = behind(from, SYMBOL, end);
		mark = "'";
	}
	if (source == NULL)
		return pstrdup("");
	return pnstrdup(source, strstr(source, mark) - source);
}

/* Adds the functions of a script. schema: of those whose name says none. */
static List *
add_functions(List *carried, const char *script, const char *schema)
{
	const char *at = strstr(script, CREATE_FUNCTION);

	while (at != NULL)
	{
		const char *start = at + strlen(CREATE_FUNCTION);
		const char *end = strstr(start, "\nCREATE ");
		const char *dot = strchr(start, '.');
		const char *parenthesis = strchr(start, '(');
		Carried    *function = palloc_object(Carried);
		bool		qualified = dot != NULL && dot < parenthesis;

		at = strstr(start, CREATE_FUNCTION);
		function->schema = qualified ? pnstrdup(start, dot - start) : pstrdup(schema);
		start = qualified ? dot + 1 : start;
		function->name = pnstrdup(start, parenthesis - start);
		function->source = source_of(start, end != NULL ? end : start + strlen(start));
		carried = lappend(carried, function);
	}
	return carried;
}

static List *
every_function(void)
{
	List	   *carried = add_functions(NIL, iu_extension_script, "iu_core");
	int			i;

	for (i = 0; i < iu_migration_count; i++)
		carried = add_functions(carried, iu_migrations[i].script, "public");
	return carried;
}

static bool
is_carried(const List *carried, const Carried *function, const char *source)
{
	ListCell   *cell;

	foreach(cell, carried)
	{
		const Carried *other = lfirst(cell);

		if (strcmp(other->name, function->name) == 0 && strcmp(other->schema, function->schema) == 0 &&
			strcmp(other->source, source) == 0)
			return true;
	}
	return false;
}

/* Whether a function of that name, whatever its arguments, is none of those that are carried. */
static bool
is_altered(const List *carried, const Carried *function)
{
	Oid			schema = get_namespace_oid(function->schema, true);
	CatCList   *known = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(function->name));
	bool		altered = false;
	int			i;

	for (i = 0; i < known->n_members && !altered; i++)
	{
		HeapTuple	tuple = &known->members[i]->tuple;
		bool		null;
		Datum		source;

		if (((Form_pg_proc) GETSTRUCT(tuple))->pronamespace != schema)
			continue;
		source = SysCacheGetAttr(PROCNAMEARGSNSP, tuple, Anum_pg_proc_prosrc, &null);
		altered = null || !is_carried(carried, function, TextDatumGetCString(source));
	}
	ReleaseSysCacheList(known);
	return altered;
}

/*
 * The name of a function, palloc'd, that has another body than this library
 * carries; NULL: there is none. Of functions that are not there conformance tells.
 */
char *
iu_altered_function(void)
{
	List	   *carried = every_function();
	ListCell   *cell;

	foreach(cell, carried)
	{
		const Carried *function = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_altered(carried, function))
			return psprintf("%s.%s()", function->schema, function->name);
	}
	return NULL;
}
