/*-------------------------------------------------------------------------
 *
 * descriptors.c
 *	  File descriptors that the server counts, but does not open itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "http/descriptors.h"
#include "storage/fd.h"

/*
 * Reserves so many, or as many as there are, and returns how many. One more is
 * left for a wait set, which reserves its own. Raises, and reserves none, where
 * there are fewer than the fewest, or than wanted where that is less.
 */
int
iu_descriptors_reserve(int wanted, int fewest)
{
	int			reserved = 0;

	while (reserved < wanted + 1 && AcquireExternalFD())
		reserved++;
	if (reserved > 0)
	{
		ReleaseExternalFD();
		reserved--;
	}
	if (reserved < Min(wanted, fewest))
	{
		iu_descriptors_release(reserved);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too few file descriptors for HTTP connections"),
				 errhint("Raise max_files_per_process.")));
	}
	return reserved;
}

/* Gives back so many. */
void
iu_descriptors_release(int count)
{
	for (; count > 0; count--)
		ReleaseExternalFD();
}
