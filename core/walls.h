/*-------------------------------------------------------------------------
 *
 * walls.h
 *	  Keeps strangers from changing what iu_core governs and from taking its
 *	  names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_WALLS_H
#define IU_WALLS_H

/* From _PG_init, while shared_preload_libraries is processed, after iu_removal_init(). */
extern void iu_walls_init(void);

#endif							/* IU_WALLS_H */
