/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Reading JSON that a remote sent.
 *
 * Only json.c knows the parser: its header cannot be included beside the
 * server's function prototypes. Values are UTF-8, belong to the memory context
 * that was current when they were parsed, and are freed with it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_JSON_H
#define IU_JSON_H

typedef struct IuJson IuJson;

/* An object or an array; NULL if it is neither, and then *problem says why. */
extern const IuJson *iu_json_parse(const char *text, size_t length, char **problem);

/* Each takes NULL, and values of another kind, for "not there". */
extern const IuJson *iu_json_member(const IuJson *value, const char *name);
extern const IuJson *iu_json_element(const IuJson *value, size_t index);
extern const char *iu_json_text(const IuJson *value);
extern bool iu_json_is_null(const IuJson *value);

/* Elements of an array, -1 if it is none. */
extern int64 iu_json_length(const IuJson *value);

/*
 * A count: a whole number of 0 or more that fits bigint, as a number or as the
 * same in a string. NULL on success, otherwise what is wrong with it.
 */
extern const char *iu_json_count(const IuJson *value, int64 *count);

#endif							/* IU_JSON_H */
