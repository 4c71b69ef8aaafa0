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

/* label as errors name it, e.g. "migration 003_gate_protocol"; text in UTF-8. */
extern void iu_run_script(const char *label, const char *text, Oid role);

/* Settings that nothing a session set may bend; undone with AtEOXact_GUC(false, level). */
extern int	iu_pin_settings(void);

#endif							/* IU_SCRIPT_H */
