/*-------------------------------------------------------------------------
 *
 * commit_log.h
 *	  Lines for the server log, written at commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_COMMIT_LOG_H
#define IU_COMMIT_LOG_H

/* From _PG_init: installs the callbacks, once per backend. */
extern void iu_commit_log_init(void);

#endif							/* IU_COMMIT_LOG_H */
