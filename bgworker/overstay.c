/*-------------------------------------------------------------------------
 *
 * overstay.c
 *	  How long the openings of gates have been seen, by a clock that nobody sets.
 *
 * The end of an opening is a time of the wall clock. Where that clock is set back,
 * the end moves away. The watchdog, which sees an opening from its beginning, or
 * from its own start, lets it last no longer than it may from then on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/overstay.h"
#include "core/clock.h"
#include "core/compat.h"

typedef struct Opening
{
	int64		opening;		/* the key: its number in the ledger */
	int64		ends_ms;		/* by the clock that nobody sets */
	uint64		look;			/* in which it was last seen */
} Opening;

static HTAB *
make_table(void)
{
	HASHCTL		control;

	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(int64);
	control.entrysize = sizeof(Opening);
	return hash_create("iu_core openings", 16, &control, HASH_ELEM | HASH_BLOBS);
}

/* Before the openings that there are now are asked for. */
void
iu_overstay_begin_look(IuOverstay *overstay)
{
	overstay->look++;
	if (overstay->openings == NULL)
		overstay->openings = make_table();
}

/*
 * How many ms an opening may still last; 0 or less: its time has run out.
 * opening: its number in the ledger. lasts_ms: how long it may last, at most,
 * from now on, as far as the wall clock knows.
 */
int64
iu_overstay_left(IuOverstay *overstay, int64 opening, int64 lasts_ms)
{
	bool		found;
	Opening    *seen = hash_search(overstay->openings, &opening, HASH_ENTER, &found);
	int64		now = iu_clock_ms();

	if (!found)
		seen->ends_ms = now + lasts_ms;
	seen->ends_ms = Min(seen->ends_ms, now + lasts_ms);
	seen->look = overstay->look;
	return seen->ends_ms - now;
}

/* After all were asked for: what is no more is forgotten. */
void
iu_overstay_end_look(IuOverstay *overstay)
{
	HASH_SEQ_STATUS scan;
	Opening    *seen;

	hash_seq_init(&scan, overstay->openings);
	while ((seen = hash_seq_search(&scan)) != NULL)
		if (seen->look != overstay->look)
			hash_search(overstay->openings, &seen->opening, HASH_REMOVE, NULL);
}
