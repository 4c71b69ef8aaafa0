/*-------------------------------------------------------------------------
 *
 * release.h
 *	  Lets go of a database that a command needs for itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_RELEASE_H
#define IU_RELEASE_H

/* From _PG_init, while shared_preload_libraries is processed. */
extern void iu_release_init(void);

#endif							/* IU_RELEASE_H */
