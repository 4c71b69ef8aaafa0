/*-------------------------------------------------------------------------
 *
 * roles.h
 *	  Keeps the roles of iu_core from whoever may make roles.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_ROLES_H
#define IU_ROLES_H

#include "nodes/nodes.h"

extern const char *iu_missing_role(void);
extern bool iu_is_own_role(Oid role);
extern void iu_guard_membership(Node *statement);

#endif							/* IU_ROLES_H */
