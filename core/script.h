/*-------------------------------------------------------------------------
 *
 * script.h
 *	  Runs one SQL script, statement by statement, with errors that name the
 *	  script and the line.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SCRIPT_H
#define IU_SCRIPT_H

#include "core/migrations.h"

/*
 * Fires what is deferred, and defers nothing more in this transaction. Left
 * pending it would make a later ALTER TABLE fail, a dry run would not see what
 * fails at commit, and a caller's triggers would fire as the role of a script.
 */
extern void iu_check_constraints_now(void);

/*
 * Runs a script as a role. Errors name it by its label, e.g. "migration
 * 003_gate_protocol", by the file of which the failing line is, where the
 * script was put together of files (NULL: it is one), and by the line in that
 * file. The text is in UTF-8.
 */
extern void iu_run_script(const char *label, const char *text, const IuScriptFile *files, Oid role);

#endif							/* IU_SCRIPT_H */
