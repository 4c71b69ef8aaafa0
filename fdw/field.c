/*-------------------------------------------------------------------------
 *
 * field.c
 *	  From a JSON value to a value of a column's type.
 *
 * The text of a string, number or boolean goes through the type's input
 * function; json and jsonb take everything; array types take arrays of such
 * values. What the type cannot hold is an error, which says what was found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/compat.h"
#include "fdw/field.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#define FOUND_SHOWN 100			/* bytes of a value that a message quotes */

/*
 * Gets ready to make values of a column.
 *
 * context: of the result; name: of the member that the column shows.
 */
IuField *
iu_field_open(MemoryContext context, const char *name, Form_pg_attribute attribute)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	IuField    *field = palloc0(sizeof(IuField));
	Oid			function;

	field->context = context;
	field->name = pstrdup(name);
	field->typmod = attribute->atttypmod;
	field->type = getBaseTypeAndTypmod(attribute->atttypid, &field->typmod);
	if (field->type != attribute->atttypid)
		field->domain = attribute->atttypid;
	field->element = get_element_type(field->type);
	field->is_array = OidIsValid(field->element);
	if (!field->is_array)
		field->element = field->type;
	get_typlenbyvalalign(field->element, &field->length, &field->by_value, &field->align);
	getTypeInputInfo(field->element, &function, &field->ioparam);
	fmgr_info_cxt(function, &field->input, context);
	MemoryContextSwitchTo(old);
	return field;
}

/* The beginning of a value for a message: a string as it is, anything else as JSON. */
static char *
quoted_value(const IuJson *value)
{
	char	   *text = iu_json_whole_text(value);
	int			length = strlen(text);

	if (length <= FOUND_SHOWN)
		return text;
	return psprintf("%s...", pnstrdup(text, pg_mbcliplen(text, length, FOUND_SHOWN)));
}

/* Raises: the column's type cannot hold the value. what: the value in a word or two, with its article. */
static void
does_not_fit(const IuField *field, const IuJson *value, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg("type %s cannot hold %s: %s",
					format_type_be(field->domain ? field->domain : field->type), what, quoted_value(value)),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_foreign_value")));
}

/* Whether the type's input function would cut the text instead of refusing it. */
static bool
is_cut(Oid type, const char *text)
{
	return (type == NAMEOID && strlen(text) >= NAMEDATALEN) || (type == CHAROID && strlen(text) > 1);
}

/* Makes one value that is no array, of the element's type. */
static Datum
read_element(IuField *field, const IuJson *value, bool *is_null)
{
	char	   *text;

	*is_null = value == NULL || iu_json_is_null(value);
	if (*is_null)
	{
		/* an element may be of a domain that allows no NULL; the column's own domain is checked later */
		if (field->is_array)
			(void) InputFunctionCall(&field->input, NULL, field->ioparam, field->typmod);
		return (Datum) 0;
	}
	if (field->element == JSONBOID)
		return iu_json_to_jsonb(value);
	if (field->element == JSONOID)
	{
		Jsonb	   *json = DatumGetJsonbP(iu_json_to_jsonb(value));

		return CStringGetTextDatum(JsonbToCString(NULL, &json->root, VARSIZE(json)));
	}
	text = iu_json_scalar(value);
	if (text == NULL)
		does_not_fit(field, value, iu_json_is_object(value) ? "an object" : "an array");
	else if (is_cut(field->element, text))
		does_not_fit(field, value, "so long a text");
	return InputFunctionCall(&field->input, text, field->ioparam, field->typmod);
}

/* Makes an array of one dimension. */
static Datum
read_array(IuField *field, const IuJson *value)
{
	int64		length = iu_json_length(value);
	Datum	   *elements;
	bool	   *nulls;
	int			bound = 1;
	int			count;
	int			i;

	if (length < 0)
		does_not_fit(field, value, iu_json_is_object(value) ? "an object" : "what is no array");
	if (length <= 0)
		return PointerGetDatum(construct_empty_array(field->element));
	count = (int) length;
	elements = palloc(sizeof(Datum) * length);
	nulls = palloc(sizeof(bool) * length);
	for (i = 0; i < count; i++)
		elements[i] = read_element(field, iu_json_element(value, i), &nulls[i]);
	return PointerGetDatum(construct_md_array(elements, nulls, 1, &count, &bound, field->element,
											  field->length, field->by_value, field->align));
}

/*
 * Makes the value of a column. What is absent, and JSON's null, is NULL. Raises
 * for what does not fit the column's type.
 */
Datum
iu_field_read(IuField *field, const IuJson *value, bool *is_null)
{
	Datum		result = (Datum) 0;

	*is_null = value == NULL || iu_json_is_null(value);
	if (!*is_null)
		result = field->is_array ? read_array(field, value) : read_element(field, value, is_null);
	if (OidIsValid(field->domain))
		domain_check(result, *is_null, field->domain, &field->domain_state, field->context);
	return result;
}

/* ---- settings ---- */

/* Types that read text in one way only, whatever the settings of the session are. */
static bool
is_of_one_reading(Oid type)
{
	static const Oid types[] = {
		TEXTOID, VARCHAROID, BPCHAROID, NAMEOID, CHAROID, BOOLOID, INT2OID, INT4OID, INT8OID, NUMERICOID,
		FLOAT4OID, FLOAT8OID, UUIDOID, JSONOID, JSONBOID
	};
	int			i;

	for (i = 0; i < lengthof(types); i++)
		if (types[i] == type)
			return true;
	return false;
}

/* Whether what a column of this type makes of a text may depend on the settings of the session. */
bool
iu_field_follows_settings(Oid type)
{
	Oid			element = get_element_type(type);

	return !is_of_one_reading(OidIsValid(element) ? element : type);
}

/*
 * Sets what types ask when they read text, so that a value of a remote is the
 * same in every session: a time without a zone is one of UTC. Returns what
 * iu_field_free_settings needs, 0 if nothing was to be set; an error puts them
 * back by itself.
 */
int
iu_field_fix_settings(void)
{
	static const char *const settings[][2] = {
		{"TimeZone", "UTC"},
		{"DateStyle", "ISO, MDY"},
		{"IntervalStyle", "postgres"},
		{"timezone_abbreviations", "Default"},
		{"lc_monetary", "C"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"xmloption", "content"},
		{"array_nulls", "on"}
	};
	int			level = 0;
	int			i;

	for (i = 0; i < lengthof(settings); i++)
	{
		/* setting one costs more than looking at it: the abbreviations of time zones are read from a file */
		if (strcmp(GetConfigOption(settings[i][0], false, false), settings[i][1]) == 0)
			continue;
		if (level == 0)
			level = NewGUCNestLevel();
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	}
	return level;
}

/* Puts the settings back. level: of iu_field_fix_settings. */
void
iu_field_free_settings(int level)
{
	AtEOXact_GUC(true, level);
}
