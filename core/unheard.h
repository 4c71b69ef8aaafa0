/*-------------------------------------------------------------------------
 *
 * unheard.h
 *	  Counts of events that were emitted and not written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_UNHEARD_H
#define IU_UNHEARD_H

/* From _PG_init, while shared_preload_libraries is processed. */
extern void iu_unheard_init(void);

#endif							/* IU_UNHEARD_H */
