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

extern TimestampTz iu_overdue_since(const IuWorkerSlot *slot, TimestampTz now, char **why);

#endif							/* IU_HEALTH_H */
