/*-------------------------------------------------------------------------
 *
 * nulls.h
 *	  The null character (\u0000), which JSON may hold and no type of
 *	  PostgreSQL can.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_NULLS_H
#define IU_NULLS_H

#include "lib/stringinfo.h"

/* What becomes of it, as option "null_character" says. */
typedef enum IuNulls
{
	IU_NULLS_ERROR,				/* the row that holds it is an error */
	IU_NULLS_REPLACE,			/* by U+FFFD, or where the database cannot hold that, by a question mark */
	IU_NULLS_REMOVE
} IuNulls;

extern const char *iu_nulls_problem(const char *value);
extern IuNulls iu_nulls_of_option(const char *value);
extern bool iu_nulls_are_in(const StringInfoData *json);
extern StringInfo iu_nulls_substitute(const StringInfoData *json, IuNulls nulls);
extern bool iu_nulls_mark_is_in(const char *text);
extern char *iu_nulls_show(const char *text);

#endif							/* IU_NULLS_H */
