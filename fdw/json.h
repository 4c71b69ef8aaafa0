/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Reading JSON that a remote sent.
 *
 * The server's own jsonb does the work: a value is a view on it. Text is in
 * the server's encoding. Everything belongs to the memory context that is
 * current when it is made, and must not outlive the document.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_JSON_H
#define IU_JSON_H

typedef struct IuJson IuJson;

/*
 * An object or an array, from UTF-8; NULL if it is neither, and then *problem
 * says why. The text must be followed by a zero byte.
 */
extern const IuJson *iu_json_parse(const char *text, size_t length, char **problem);

/* Each takes NULL, and values of another kind, for "not there". */
extern const IuJson *iu_json_member(const IuJson *value, const char *name);
extern const IuJson *iu_json_element(const IuJson *value, size_t index);
extern const char *iu_json_text(const IuJson *value);
extern bool iu_json_is_null(const IuJson *value);
extern bool iu_json_is_object(const IuJson *value);

/* Elements of an array, -1 if it is none. */
extern int64 iu_json_length(const IuJson *value);

/* Members of an object, in no order that means something; -1 if it is none. */
extern int64 iu_json_members(const IuJson *object);
extern const char *iu_json_member_name(const IuJson *object, int64 i);

/* The text of a string, a number (all its digits), a boolean; NULL for null, arrays, objects. */
extern char *iu_json_scalar(const IuJson *value);

/* A Jsonb of its own; the value is there (JSON's null is a value). */
extern Datum iu_json_to_jsonb(const IuJson *value);

/*
 * A count: a whole number of 0 or more that fits bigint, as a number or as the
 * same in a string. NULL on success, otherwise what is wrong with it.
 */
extern const char *iu_json_count(const IuJson *value, int64 *count);

#endif							/* IU_JSON_H */
