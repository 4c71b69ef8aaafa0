#include "postgres.h"

#include "bgworker/worker.h"
#include "core/compat.h"

PGDLLEXPORT void iu_sender_main(Datum main_arg);

/* To be filled in: connects and idles. */
void
iu_sender_main(Datum main_arg)
{
	uint32		wait_event = iu_wait_event("IuCoreSenderMain");

	iu_worker_begin(main_arg, "1s");
	iu_slot_state(iu_my_slot, IU_NOTHING_MIGRATED, "");
	for (;;)
	{
		iu_worker_absorb();
		iu_worker_sleep(0, wait_event);
	}
}
