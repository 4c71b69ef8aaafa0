/*-------------------------------------------------------------------------
 *
 * deadline.h
 *	  The time at which the running statement is cancelled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DEADLINE_H
#define IU_DEADLINE_H

#include "datatype/timestamp.h"

extern bool iu_deadline_tighten(TimestampTz wanted, TimestampTz *before);
extern void iu_deadline_put_back(bool armed, TimestampTz at);
extern TimestampTz iu_deadline_now(void);

#endif							/* IU_DEADLINE_H */
