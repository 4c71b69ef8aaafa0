/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  The functions of the migrations that the library calls.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_POLICY_H
#define IU_POLICY_H

/* Where those functions are. */
#define IU_POLICY_SCHEMA "public"

/*
 * The function of that name and arguments in schema public; InvalidOid where
 * there is none. Raises where it belongs to anybody but iu_core_owner or a
 * superuser: whoever may create in public could have put it there.
 */
extern Oid	iu_policy_function(const char *name, int argument_count, const Oid *argument_types);

#endif							/* IU_POLICY_H */
