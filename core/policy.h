/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  The functions of the migrations that the library calls, and who may call
 *	  functions of the library.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_POLICY_H
#define IU_POLICY_H

/* Where those functions are. */
#define IU_POLICY_SCHEMA "iu"

/*
 * The function of that name and arguments in schema iu; InvalidOid where there
 * is none. Raises where it belongs to anybody but iu_core_owner or a superuser:
 * after a restore without owners it could do whatever its owner put into it.
 */
extern Oid	iu_policy_function(const char *name, int argument_count, const Oid *argument_types);

/* The same of another schema: functions whose body is in public, since objects of schema iu would count as well. */
extern Oid	iu_policy_function_in(const char *schema, const char *name, int argument_count,
								  const Oid *argument_types);

/*
 * Raises unless the current role has the rights of that one, is iu_core_owner or
 * a superuser. For functions that carry rights: EXECUTE alone does not do, since
 * a GRANT on all functions of the schema gives it away.
 */
extern void iu_require_member(const char *role);

#endif							/* IU_POLICY_H */
