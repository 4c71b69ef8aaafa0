/*-------------------------------------------------------------------------
 *
 * carried.h
 *	  Whether functions have the bodies that this library carries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CARRIED_H
#define IU_CARRIED_H

extern char *iu_altered_function(void);

#endif							/* IU_CARRIED_H */
