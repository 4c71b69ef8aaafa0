/*-------------------------------------------------------------------------
 *
 * roles.c
 *	  Keeps the roles of iu_core from whoever may make roles.
 *
 * Before 16 a role with CREATEROLE may grant every role but a superuser's to
 * whom it likes, itself included, and give every such role a password. Who does
 * that with iu_core_owner or with the workers' role has all the rights that the
 * walls keep. So membership in a role of iu_core is given by superusers and by
 * those who were given it WITH ADMIN OPTION, as 16 has it for all roles, and
 * the roles themselves are altered by superusers alone (walls.c asks here).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "core/compat.h"
#include "core/rights.h"
#include "core/roles.h"
#include "core/settings.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"

static const char *const own_roles[] = {
	IU_OWNER_ROLE, "iu_core_reader", "iu_core_writer", "iu_core_operator", "iu_core_admin", "iu_core_agent",
	"iu_core_worker", IU_CHECK_ROLE
};

/* Whether it is one of the extension's roles, or the one that the workers use instead. */
bool
iu_is_own_role(Oid role)
{
	int			i;

	if (!OidIsValid(role))
		return false;
	for (i = 0; i < lengthof(own_roles); i++)
		if (role == get_role_oid(own_roles[i], true))
			return true;
	return role == get_role_oid(iu_worker_role, true);
}

/* The name of a role of the extension that does not exist, because it was renamed or dropped; NULL: none. */
const char *
iu_missing_role(void)
{
	int			i;

	for (i = 0; i < lengthof(own_roles); i++)
		if (!OidIsValid(get_role_oid(own_roles[i], true)))
			return own_roles[i];
	return NULL;
}

static void
guard_role(const char *name)
{
	Oid			role = get_role_oid(name, true);

	if (!iu_is_own_role(role) || superuser() || is_admin_of_role(GetUserId(), role))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot make anybody a member of role \"%s\": it is governed by iu_core", name),
			 errdetail("Only superusers may, and whoever was granted it WITH ADMIN OPTION."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_governed_role")));
}

static void
guard_new_role(const CreateRoleStmt *statement)
{
	ListCell   *option;

	foreach(option, statement->options)
	{
		const DefElem *element = lfirst(option);
		ListCell   *role;

		if (strcmp(element->defname, "addroleto") != 0)
			continue;
		foreach(role, (List *) element->arg)
		{
			const RoleSpec *specification = lfirst(role);

			if (specification->roletype == ROLESPEC_CSTRING)
				guard_role(specification->rolename);
		}
	}
}

/*
 * Raises where a command (GRANT role TO, CREATE ROLE ... IN ROLE) would give a
 * membership that the current role may not give. ALTER GROUP ... ADD USER alters
 * the role, and is left to the walls.
 */
void
iu_guard_membership(Node *statement)
{
	ListCell   *role;

	if (IsA(statement, CreateRoleStmt))
		guard_new_role((CreateRoleStmt *) statement);
	else if (IsA(statement, GrantRoleStmt) && ((GrantRoleStmt *) statement)->is_grant)
		foreach(role, ((GrantRoleStmt *) statement)->granted_roles)
			guard_role(((AccessPriv *) lfirst(role))->priv_name);
}
