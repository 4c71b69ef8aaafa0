/*-------------------------------------------------------------------------
 *
 * session.h
 *	  Under which settings a worker works.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SESSION_H
#define IU_SESSION_H

typedef struct IuSessionSettings IuSessionSettings;

extern IuSessionSettings *iu_session_note(void);
extern void iu_session_insist(void);
extern void iu_session_settle(IuSessionSettings *settings);

#endif							/* IU_SESSION_H */
