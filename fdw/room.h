/*-------------------------------------------------------------------------
 *
 * room.h
 *	  Memory that is used and emptied again and again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_ROOM_H
#define IU_ROOM_H

extern MemoryContext iu_room_empty(MemoryContext context, const char *name, Size *kept);

#endif							/* IU_ROOM_H */
