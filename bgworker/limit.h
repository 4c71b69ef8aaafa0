/*-------------------------------------------------------------------------
 *
 * limit.h
 *	  An end to what a worker calls and what does not end by being cancelled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_LIMIT_H
#define IU_LIMIT_H

extern void iu_limit_init(void);
extern void iu_limit_begin(int ms, bool cancels);
extern void iu_limit_end(void);

#endif							/* IU_LIMIT_H */
