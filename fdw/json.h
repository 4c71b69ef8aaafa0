/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Reading JSON that a remote sent, on the server's jsonb. Text is in the
 *	  server's encoding.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_JSON_H
#define IU_JSON_H

typedef struct IuJson IuJson;

extern const IuJson *iu_json_parse(const char *text, size_t length, char **problem);

extern const IuJson *iu_json_member(const IuJson *value, const char *name);
extern const IuJson *iu_json_element(const IuJson *value, size_t index);
extern int64 iu_json_length(const IuJson *value);
extern int64 iu_json_members(const IuJson *object);
extern const char *iu_json_member_name(const IuJson *object, int64 i);

extern bool iu_json_is_null(const IuJson *value);
extern bool iu_json_is_object(const IuJson *value);
extern const char *iu_json_text(const IuJson *value);
extern char *iu_json_scalar(const IuJson *value);
extern char *iu_json_whole_text(const IuJson *value);
extern Datum iu_json_to_jsonb(const IuJson *value);
extern const char *iu_json_count(const IuJson *value, int64 *count);

#endif							/* IU_JSON_H */
