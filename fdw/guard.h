/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  Who may say where a foreign server is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_GUARD_H
#define IU_GUARD_H

/* From _PG_init: installs the object access hook, once per process. */
extern void iu_guard_init(void);

#endif							/* IU_GUARD_H */
