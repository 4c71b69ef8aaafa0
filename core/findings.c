/*-------------------------------------------------------------------------
 *
 * findings.c
 *	  What the workers found of their database, as they put it into their slots
 *	  for iu_core.health().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/slots.h"
#include "mb/pg_wchar.h"

/* Copies the first line of a text into a slot, as much of it as there is room for: IU_ERROR_LENGTH bytes. */
void
iu_slot_copy_line(char *to, const char *text)
{
	size_t		length = strcspn(text, "\n");

	length = pg_mbcliplen(text, length, IU_ERROR_LENGTH - 1);
	memcpy(to, text, length);
	to[length] = '\0';
}

/* Why the database is not at home where it is; NULL: it is. */
void
iu_slot_place_trouble(int slot, const char *trouble)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	iu_slot_copy_line(iu_shared->workers[slot].place_trouble, trouble != NULL ? trouble : "");
	LWLockRelease(iu_shared->lock);
}

/* What is wrong with the gates of a database, and what will be; NULL: nothing. */
void
iu_slot_gate_troubles(int slot, const char *alarm, const char *warning)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	iu_slot_copy_line(iu_shared->workers[slot].alarm, alarm != NULL ? alarm : "");
	iu_slot_copy_line(iu_shared->workers[slot].warning, warning != NULL ? warning : "");
	LWLockRelease(iu_shared->lock);
}

/* What is wrong with the partitions of a database; NULL: nothing. */
void
iu_slot_partition_trouble(int slot, const char *trouble)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	iu_slot_copy_line(iu_shared->workers[slot].partition_trouble, trouble != NULL ? trouble : "");
	LWLockRelease(iu_shared->lock);
}

/* What is wrong with the certificates of its routes, and what will be; NULL: nothing. */
void
iu_slot_certificate_troubles(int slot, const char *alarm, const char *warning)
{
	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	iu_slot_copy_line(iu_shared->workers[slot].certificate_alarm, alarm != NULL ? alarm : "");
	iu_slot_copy_line(iu_shared->workers[slot].certificate_warning, warning != NULL ? warning : "");
	LWLockRelease(iu_shared->lock);
}

/* What a runner found just now. first: NULL for no difference. */
void
iu_slot_judged(int slot, int differences, const char *first)
{
	IuWorkerSlot *worker = &iu_shared->workers[slot];

	LWLockAcquire(iu_shared->lock, LW_EXCLUSIVE);
	worker->judged_at = iu_now();
	worker->differences = differences;
	iu_slot_copy_line(worker->first_difference, first != NULL ? first : "");
	LWLockRelease(iu_shared->lock);
}
