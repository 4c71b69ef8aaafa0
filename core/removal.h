/*-------------------------------------------------------------------------
 *
 * removal.h
 *	  Keeps what gates rest on from being dropped.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_REMOVAL_H
#define IU_REMOVAL_H

/* From _PG_init, while shared_preload_libraries is processed. */
extern void iu_removal_init(void);

#endif							/* IU_REMOVAL_H */
