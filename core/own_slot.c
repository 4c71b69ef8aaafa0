/*-------------------------------------------------------------------------
 *
 * own_slot.c
 *	  What a worker's process says in its slot: that it lives and what it does,
 *	  what it counts, and what it found of its database for iu_core.health().
 *
 * It takes no lock: of a slot's fields, those here are written by its process,
 * and by the launcher while it has none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/slots.h"
#include "mb/pg_wchar.h"

/*
 * Copies the first line of a text into a slot, as much of it as there is room for:
 * IU_ERROR_LENGTH bytes. NULL is an empty line.
 */
static void
copy_line(char *to, const char *text)
{
	const char *line = text != NULL ? text : "";
	size_t		length = pg_mbcliplen(line, strcspn(line, "\n"), IU_ERROR_LENGTH - 1);

	memcpy(to, line, length);
	to[length] = '\0';
}

/* ---- that it lives, and what it does ---- */

/*
 * The end of a pass, or a sign of life within one. next_wakeup: until when the
 * process sleeps, at most; 0: until it is woken.
 */
void
iu_slot_tick(int slot, TimestampTz next_wakeup)
{
	IuWorkerSlot *worker = iu_slot_begin_change(slot);

	worker->last_tick = iu_now();
	worker->next_wakeup = next_wakeup;
	worker->busy_since = 0;
	worker->counters[IU_COUNT_PASSES]++;
	iu_slot_end_change(slot);
}

/* Whether the process was woken since this was asked last, or since its pass began. */
bool
iu_slot_woken(int slot)
{
	return pg_atomic_exchange_u64(&iu_shared->woken_at[slot], 0) != 0;
}

/*
 * Whether the process was woken, since this was asked last, by anything but
 * events that were written: then all that it does may have changed.
 */
bool
iu_slot_look_around(int slot)
{
	return pg_atomic_exchange_u32(&iu_shared->look_around[slot], 0) != 0;
}

/*
 * Says of the process, a sender, whether it is to be woken when another sender has
 * claimed something (IU_WAKE_WAITING): a claim passes over the routes that another
 * claim holds.
 */
void
iu_slot_wait_for_others(int slot, IuWaits waits)
{
	pg_atomic_write_u32(&iu_shared->waits[slot], waits);
}

/* The beginning of a pass, which looks at everything that a wake before it was about. */
void
iu_slot_begin_pass(int slot)
{
	iu_slot_begin_change(slot)->busy_since = iu_now();
	pg_atomic_write_u64(&iu_shared->woken_at[slot], 0);
	iu_slot_end_change(slot);
}

/* When the first close is or was due that the watchdog knows of and has not done; 0: there is none. */
void
iu_slot_due(int slot, TimestampTz due_at)
{
	iu_shared->workers[slot].due_at = due_at;
}

/* Adds n to a counter. */
void
iu_slot_count(int slot, IuCounter counter, int64 n)
{
	iu_shared->workers[slot].counters[counter] += n;
}

/* What the process called does not end, and the process will. Called in a signal handler. */
void
iu_slot_overran(int slot)
{
	iu_shared->workers[slot].overran_at = iu_now();
	iu_shared->workers[slot].overran = true;
}

/* Whether the process before this one ended so. It is told once, to the process whose slot it is. */
bool
iu_slot_take_overrun(int slot)
{
	bool		overran = iu_shared->workers[slot].overran;

	iu_shared->workers[slot].overran = false;
	return overran;
}

/*
 * Sets the state of a slot. error: its first line becomes last_error; "" clears
 * that, NULL leaves it.
 */
void
iu_slot_state(int slot, IuWorkerState state, const char *error)
{
	IuWorkerSlot *worker = iu_slot_begin_change(slot);

	if (worker->state != state)
	{
		worker->state = state;
		worker->since = iu_now();
	}
	if (error != NULL)
		copy_line(worker->last_error, error);
	iu_slot_end_change(slot);
}

/* ---- what it found ---- */

/* Why the database is not at home where it is; NULL: it is. */
void
iu_slot_place_trouble(int slot, const char *trouble)
{
	IuWorkerSlot *worker = iu_slot_begin_change(slot);

	copy_line(worker->place_trouble, trouble);
	iu_slot_end_change(slot);
}

/* What is wrong with the gates of a database, and what will be; NULL: nothing. */
void
iu_slot_gate_troubles(int slot, const char *alarm, const char *warning)
{
	IuWorkerSlot *worker = iu_slot_begin_change(slot);

	copy_line(worker->alarm, alarm);
	copy_line(worker->warning, warning);
	iu_slot_end_change(slot);
}

/* What is wrong with the partitions of a database; NULL: nothing. */
void
iu_slot_partition_trouble(int slot, const char *trouble)
{
	IuWorkerSlot *worker = iu_slot_begin_change(slot);

	copy_line(worker->partition_trouble, trouble);
	iu_slot_end_change(slot);
}

/* What is wrong with the certificates of its routes, and what will be; NULL: nothing. */
void
iu_slot_certificate_troubles(int slot, const char *alarm, const char *warning)
{
	IuWorkerSlot *worker = iu_slot_begin_change(slot);

	copy_line(worker->certificate_alarm, alarm);
	copy_line(worker->certificate_warning, warning);
	iu_slot_end_change(slot);
}

/* What a runner found just now. first: NULL for no difference. */
void
iu_slot_judged(int slot, int differences, const char *first)
{
	IuWorkerSlot *worker = iu_slot_begin_change(slot);

	worker->judged_at = iu_now();
	worker->differences = differences;
	copy_line(worker->first_difference, first);
	iu_slot_end_change(slot);
}
