/*-------------------------------------------------------------------------
 *
 * health.h
 *	  Whether a worker does its work, judged by whoever reads its slot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_HEALTH_H
#define IU_HEALTH_H

#include "core/slots.h"

/*
 * Since when a watchdog that has a process is overdue, as its slot shows it at
 * that time, and in *why, palloc'd, with what; 0: it is not.
 */
extern TimestampTz iu_overdue_since(const IuWorkerSlot *slot, TimestampTz now, char **why);

#endif							/* IU_HEALTH_H */
