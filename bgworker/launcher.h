/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The launcher, the one worker of the cluster that the postmaster starts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_LAUNCHER_H
#define IU_LAUNCHER_H

/* From _PG_init, while shared_preload_libraries is processed. */
extern void iu_launcher_register(void);

#endif							/* IU_LAUNCHER_H */
