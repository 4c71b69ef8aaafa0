/*-------------------------------------------------------------------------
 *
 * json.c
 *	  The JSON parser (jansson), and nothing of the server that would meet it.
 *
 * jansson allocates in the current memory context, so that a document goes
 * with its context, an error in between included. Allocation failure is
 * reported to jansson and never raised inside it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <jansson.h>

#include "fdw/json.h"

/*
 * Debian's static jansson is compiled for programs, not for libraries, and
 * compares its input with stdin in json_loadfd(), which is never called here;
 * a library cannot be linked with such a reference unless the variable is its
 * own. So it gets one that nothing outside this library can see.
 */
extern FILE *iu_json_no_stdin __asm__("stdin") __attribute__((visibility("hidden")));
FILE	   *iu_json_no_stdin = NULL;

#define JSON_OF(value) ((const json_t *) (value))
#define IU_OF(value) ((const IuJson *) (value))

static void *
allocate(size_t size)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, size,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

const IuJson *
iu_json_parse(const char *text, size_t length, char **problem)
{
	json_error_t error;
	json_t	   *document;

	json_set_alloc_funcs(allocate, pfree);
	document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (document != NULL)
		return IU_OF(document);

	switch (json_error_code(&error))
	{
		case json_error_numeric_overflow:
			*problem = pstrdup("a number in it is too large");
			break;
		case json_error_premature_end_of_input:
			*problem = pstrdup("it ends too early");
			break;
		default:
			*problem = psprintf("%s at byte %d", error.text, error.position);
			break;
	}
	return NULL;
}

const IuJson *
iu_json_member(const IuJson *value, const char *name)
{
	return IU_OF(json_object_get(JSON_OF(value), name));
}

const IuJson *
iu_json_element(const IuJson *value, size_t index)
{
	return IU_OF(json_array_get(JSON_OF(value), index));
}

const char *
iu_json_text(const IuJson *value)
{
	return json_string_value(JSON_OF(value));
}

bool
iu_json_is_null(const IuJson *value)
{
	return json_is_null(JSON_OF(value));
}

int64
iu_json_length(const IuJson *value)
{
	if (!json_is_array(JSON_OF(value)))
		return -1;
	return (int64) json_array_size(JSON_OF(value));
}

/* Digits only, and no zero in front of others. */
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

const char *
iu_json_count(const IuJson *value, int64 *count)
{
	const json_t *json = JSON_OF(value);

	if (json_is_string(json))
	{
		/* an embedded NUL cannot come through the parser */
		return count_of_text(json_string_value(json), count);
	}
	if (json_is_integer(json))
	{
		if (json_integer_value(json) < 0)
			return "the count is negative";
		*count = json_integer_value(json);
		return NULL;
	}
	if (json_is_real(json))
		return "the count is not a whole number";
	return "the answer holds no count";
}
