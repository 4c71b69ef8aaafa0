/*-------------------------------------------------------------------------
 *
 * options.h
 *	  Options of servers, user mappings, foreign tables and their columns: what
 *	  they may be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_OPTIONS_H
#define IU_OPTIONS_H

#include "fdw/remote.h"

#define IU_MAX_SECRET 8000		/* bytes */

extern void iu_options_validate(const IuRemote *remote, Datum options, Oid catalog);
extern void iu_options_check(const IuRemote *remote, Oid catalog, List *options);

extern const char *iu_option_value(List *options, const char *name);
extern const char *iu_option_required(List *options, const char *name, const char *object);
extern int	iu_option_number(List *options, const char *name, int otherwise);
extern const IuResource *iu_option_resource(const IuRemote *remote, const char *value);
extern const char *iu_secret_problem(const char *secret);

#endif							/* IU_OPTIONS_H */
