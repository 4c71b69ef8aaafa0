/*-------------------------------------------------------------------------
 *
 * caller.h
 *	  Who acts: the role in whose name a function with rights was called.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CALLER_H
#define IU_CALLER_H

/* Who acts, or InvalidOid where nobody in particular does. */
extern Oid	iu_caller(void);

/* The same; raises where nobody in particular acts. */
extern Oid	iu_caller_required(void);

/*
 * From here on that role acts; InvalidOid: who the session says. Returns who
 * acted until now, to be given back in the same way, after an error too.
 */
extern Oid	iu_caller_becomes(Oid role);

#endif							/* IU_CALLER_H */
