/*-------------------------------------------------------------------------
 *
 * descriptors.h
 *	  File descriptors that the server counts, but does not open itself. Only
 *	  for this floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DESCRIPTORS_H
#define IU_DESCRIPTORS_H

extern int	iu_descriptors_reserve(int wanted, int fewest);
extern void iu_descriptors_release(int count);

#endif							/* IU_DESCRIPTORS_H */
