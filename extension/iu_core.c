/*-------------------------------------------------------------------------
 *
 * iu_core.c
 *	  Entry of the library: what is set up when the server loads it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgworker/launcher.h"
#include "core/commands.h"
#include "core/commit_log.h"
#include "core/compat.h"
#include "core/gate.h"
#include "core/place.h"
#include "core/release.h"
#include "core/removal.h"
#include "core/settings.h"
#include "core/slots.h"
#include "core/unheard.h"
#include "core/wake.h"
#include "core/walls.h"
#include "fdw/guard.h"
#include "fmgr.h"
#include "http/certificate.h"
#include "http/egress.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(iu_version);

void		_PG_init(void);

/*
 * A process that has this library loads another file of it when the two are
 * found by different ways: one by shared_preload_libraries along
 * dynamic_library_path, the other by CREATE EXTENSION in $libdir. A setting is
 * known and is not a mere line of the configuration only where a copy is loaded.
 */
static void
refuse_second_copy(void)
{
	if (GetConfigOption("iu_core.senders", true, false) != NULL &&
		(GetConfigOptionFlags("iu_core.senders", true) & GUC_CUSTOM_PLACEHOLDER) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("another copy of the library iu_core is loaded already"),
				 errdetail("Functions ask for the file in $libdir; "
						   "dynamic_library_path or a full name led to another."),
				 errhint("Remove one of the two files, and restart the server."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_second_copy")));
}

/* Called by the server when it loads the library, in the postmaster or in a session. */
void
_PG_init(void)
{
	refuse_second_copy();
	iu_settings_define();
	iu_egress_define_settings();
	iu_certificates_define_setting();
	iu_place_define_setting();
	MarkGUCPrefixReserved("iu_core");

	iu_gate_init();
	iu_wake_init();
	iu_commands_init();
	iu_commit_log_init();
	iu_guard_init();

	/*
	 * A library that a single session loads has no shared memory and no workers:
	 * gates read closed, and iu_core.worker_status says why.
	 */
	if (!process_shared_preload_libraries_in_progress)
		return;
	iu_place_init();
	iu_slots_init();
	iu_unheard_init();
	iu_launcher_register();
	iu_release_init();
	iu_removal_init();
	iu_walls_init();
}

/* iu_core.version(): of the library, which may be newer than the extension. */
Datum
iu_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(IU_CORE_VERSION));
}
