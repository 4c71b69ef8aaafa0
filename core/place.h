/*-------------------------------------------------------------------------
 *
 * place.h
 *	  Which server and database this is, and since when.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_PLACE_H
#define IU_PLACE_H

#include "utils/uuid.h"

/* The name of the environment variable that gives the instance where the setting does not. */
#define IU_INSTANCE_VARIABLE "IU_CORE_INSTANCE"

/* From _PG_init: defines the setting iu_core.instance. */
extern void iu_place_define_setting(void);

/* From _PG_init, in the postmaster: what can be seen only while the server starts. */
extern void iu_place_init(void);

/* Where an opening is made that is effective here and now; NULL while the server recovers. */
extern const pg_uuid_t *iu_place_of_openings(void);

/* What is to be done about the instance, palloc'd; NULL: it is given as it should be. */
extern char *iu_place_instance_trouble(void);

#endif							/* IU_PLACE_H */
