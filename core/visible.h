/*-------------------------------------------------------------------------
 *
 * visible.h
 *	  What of a text people see, and the one rule for texts that people give.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_VISIBLE_H
#define IU_VISIBLE_H

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

/* What a character is to whoever looks at a text. */
typedef enum IuSight
{
	IU_VISIBLE,
	IU_BLANK,					/* a space, of whatever width, or a mark on another character */
	IU_BREAKS_LINE,				/* line ends, tabs: a blank in its place says the same */
	IU_MISLEADS					/* other control characters, marks of direction, characters without width */
} IuSight;

extern pg_wchar iu_next_character(const char **at, const char *end);
extern IuSight iu_sight_of(pg_wchar character);
extern void iu_append_shown(StringInfo to, const char *text, int length, int most);

#endif							/* IU_VISIBLE_H */
