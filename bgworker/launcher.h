/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The one static worker of the cluster.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_LAUNCHER_H
#define IU_LAUNCHER_H

/* From _PG_init, while shared_preload_libraries is processed. */
extern void iu_launcher_register(void);

#endif							/* IU_LAUNCHER_H */
