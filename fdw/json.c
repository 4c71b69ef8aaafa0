/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Reading JSON that a remote sent, on the server's jsonb.
 *
 * The server's parser raises. Here its error becomes a sentence, unless it is
 * no fault of the text, such as a cancel or lack of memory: then it is raised.
 *
 * A value is a view on the document's jsonb. Everything belongs to the memory
 * context that is current when it is made, and must not outlive the document.
 * NULL, and a value of another kind, is "not there" to every function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/errors.h"
#include "fdw/json.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

struct IuJson
{
	JsonbValue	value;			/* a scalar, or jbvBinary */
};

/* Whether it is an array, or if array is false, an object. */
static bool
is_container(const IuJson *json, bool array)
{
	const JsonbContainer *container;

	if (json == NULL || json->value.type != jbvBinary)
		return false;
	container = json->value.val.binary.data;
	return array ? JsonContainerIsArray(container) : JsonContainerIsObject(container);
}

static const IuJson *
view_of(const JsonbValue *value)
{
	IuJson	   *json = palloc(sizeof(IuJson));

	json->value = *value;
	return json;
}

/* ---- parsing ---- */

/*
 * What the parser's error says, which may quote the text. Raises the error
 * again where it is no fault of the text. context: for the result.
 */
static char *
words_of_error(MemoryContext context)
{
	ErrorData  *error;
	char	   *words;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (!iu_error_is_of_data(error->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();
	words = pstrdup(error->detail ? error->detail : error->message);
	FreeErrorData(error);
	return words;
}

/* The document as jsonb; NULL if it is no JSON, and then *problem says why. */
static Jsonb *
parse_jsonb(const char *text, size_t length, char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile document = NULL;

	PG_TRY();
	{
		char	   *converted = pg_any_to_server(text, length, PG_UTF8);

		document = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(converted)));
		if (converted != text)
			pfree(converted);
	}
	PG_CATCH();
	{
		*problem = words_of_error(context);
	}
	PG_END_TRY();
	return document;
}

/*
 * An object or an array; NULL if the text is neither, and then *problem says
 * why.
 *
 * text: UTF-8 of so many bytes, with a zero byte behind them.
 */
const IuJson *
iu_json_parse(const char *text, size_t length, char **problem)
{
	Jsonb	   *document;
	JsonbValue	value;

	if (memchr(text, '\0', length) != NULL)
	{
		*problem = pstrdup("it holds a zero byte");
		return NULL;
	}
	document = parse_jsonb(text, length, problem);
	if (document == NULL)
		return NULL;
	if (JB_ROOT_IS_SCALAR(document))
	{
		*problem = pstrdup("it is neither an object nor an array");
		return NULL;
	}
	value.type = jbvBinary;
	value.val.binary.data = &document->root;
	value.val.binary.len = VARSIZE(document) - VARHDRSZ;
	return view_of(&value);
}

/* ---- finding the way ---- */

/* The member of an object that has this name; NULL if it has none. */
const IuJson *
iu_json_member(const IuJson *value, const char *name)
{
	JsonbValue	found;

	if (!is_container(value, false) ||
		getKeyJsonValueFromContainer(value->value.val.binary.data, name, strlen(name), &found) == NULL)
		return NULL;
	return view_of(&found);
}

/* An element of an array, counted from 0; NULL if there are not so many. */
const IuJson *
iu_json_element(const IuJson *value, size_t index)
{
	JsonbValue *found;

	if (!is_container(value, true) || index >= JsonContainerSize(value->value.val.binary.data))
		return NULL;
	found = getIthJsonbValueFromContainer(value->value.val.binary.data, index);
	return found ? view_of(found) : NULL;
}

/* How many elements an array has; -1 if it is no array. */
int64
iu_json_length(const IuJson *value)
{
	return is_container(value, true) ? (int64) JsonContainerSize(value->value.val.binary.data) : -1;
}

/* How many members an object has; -1 if it is no object. */
int64
iu_json_members(const IuJson *object)
{
	return is_container(object, false) ? (int64) JsonContainerSize(object->value.val.binary.data) : -1;
}

/*
 * The name of an object's member, counted from 0 in an order that means
 * nothing; NULL if there are not so many. Palloc'd. (In a jsonb the names of
 * all members stand before their values.)
 */
const char *
iu_json_member_name(const IuJson *object, int64 i)
{
	const JsonbContainer *container;
	const char *names;

	if (i < 0 || i >= iu_json_members(object))
		return NULL;
	container = object->value.val.binary.data;
	names = (const char *) &container->children[JsonContainerSize(container) * 2];
	return pnstrdup(names + getJsonbOffset(container, i), getJsonbLength(container, i));
}

/* ---- values ---- */

/* Whether it is JSON's null, which is a value. */
bool
iu_json_is_null(const IuJson *value)
{
	return value != NULL && value->value.type == jbvNull;
}

/* Whether it is an object. */
bool
iu_json_is_object(const IuJson *value)
{
	return is_container(value, false);
}

/* The text of a string; NULL for anything else. Palloc'd. */
const char *
iu_json_text(const IuJson *value)
{
	if (value == NULL || value->value.type != jbvString)
		return NULL;
	return pnstrdup(value->value.val.string.val, value->value.val.string.len);
}

/* The text of a string, a number (all its digits) or a boolean; NULL for null, arrays and objects. Palloc'd. */
char *
iu_json_scalar(const IuJson *value)
{
	if (value == NULL)
		return NULL;
	switch (value->value.type)
	{
		case jbvString:
			return pnstrdup(value->value.val.string.val, value->value.val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->value.val.numeric)));
		case jbvBool:
			return pstrdup(value->value.val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

/* A jsonb of its own, of a value that is there. */
Datum
iu_json_to_jsonb(const IuJson *value)
{
	return JsonbPGetDatum(JsonbValueToJsonb(unconstify(JsonbValue *, &value->value)));
}

/* A value as text, whatever it is: a string as it is, anything else as JSON. Palloc'd. */
char *
iu_json_whole_text(const IuJson *value)
{
	char	   *text = iu_json_scalar(value);
	Jsonb	   *json;

	if (text != NULL)
		return text;
	json = DatumGetJsonbP(iu_json_to_jsonb(value));
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* ---- counts ---- */

/*
 * Reads digits, the first of them no zero unless it is the only one. NULL on
 * success, otherwise what is wrong.
 */
static const char *
count_of_text(const char *text, int64 *count)
{
	uint64		sum = 0;
	const char *c;

	if (text[0] == '-')
		return "the count is negative";
	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return "the count is not a whole number";
	for (c = text; *c != '\0'; c++)
	{
		if (*c < '0' || *c > '9')
			return "the count is not a whole number";
		if (sum > (PG_INT64_MAX - (*c - '0')) / 10)
			return "the count is too large for bigint";
		sum = sum * 10 + (*c - '0');
	}
	*count = (int64) sum;
	return NULL;
}

/*
 * Reads a count: a whole number of 0 or more that fits bigint, as a number or
 * as the same in a string. NULL on success, otherwise what is wrong with it,
 * as a part of a sentence.
 */
const char *
iu_json_count(const IuJson *value, int64 *count)
{
	if (value == NULL || (value->value.type != jbvString && value->value.type != jbvNumeric))
		return "the answer holds no count";
	return count_of_text(iu_json_scalar(value), count);
}
