/*-------------------------------------------------------------------------
 *
 * room.c
 *	  Memory that is used and emptied again and again.
 *
 * A memory context that is reset gives all its blocks back but the first, which
 * is small; where each page of a remote takes some megabytes, the process would
 * get them from the system and give them back for every page, which takes as
 * long as reading the page. So such a context keeps what it needed, up to a
 * limit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/room.h"
#include "utils/memutils.h"

#define WORTH_KEEPING (256 * 1024)	/* bytes; less is got fast */
#define MOST_KEPT (8 * 1024 * 1024)

/*
 * Empties a context that nothing else hangs below. Returns the context, or where
 * it has grown to twice what it keeps, another one of the same parent that keeps
 * what it needed.
 *
 * name: of the context, a constant; *kept: how much it keeps, 0 at first.
 */
MemoryContext
iu_room_empty(MemoryContext context, const char *name, Size *kept)
{
	Size		used = Min(MemoryContextMemAllocated(context, true), MOST_KEPT);
	MemoryContext parent;

	/* large pieces are got one by one, beside what is kept: they come on top of it for every page */
	if (used < WORTH_KEEPING || used < *kept * 2)
	{
		MemoryContextReset(context);
		return context;
	}
	parent = MemoryContextGetParent(context);
	MemoryContextDelete(context);
	*kept = used;
	/* what does not fit into that begins with small blocks again: else each time would double what is kept */
	return AllocSetContextCreateInternal(parent, name, MAXALIGN(used), ALLOCSET_DEFAULT_INITSIZE,
										 ALLOCSET_DEFAULT_MAXSIZE);
}
