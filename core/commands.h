/*-------------------------------------------------------------------------
 *
 * commands.h
 *	  What the library does when somebody runs a utility command.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_COMMANDS_H
#define IU_COMMANDS_H

/* From _PG_init: installs the hook. */
extern void iu_commands_init(void);

#endif							/* IU_COMMANDS_H */
