/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The one place that knows how PostgreSQL 15 to 18 differ.
 *
 * Every other file is written against the newest spelling; what an older
 * server lacks is supplied here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_COMPAT_H
#define IU_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "iu_core needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 17 names wait events of extensions; before it there is one for all. */
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#define iu_wait_event(name) WaitEventExtensionNew(name)
#else
#include "utils/wait_event.h"
#define iu_wait_event(name) ((uint32) PG_WAIT_EXTENSION)
#endif

/* 16 asks for the owner of every kind of object through one function. */
#if PG_VERSION_NUM >= 160000
#define iu_owns_database(database, role) object_ownercheck(DatabaseRelationId, database, role)
#else
#define iu_owns_database(database, role) pg_database_ownercheck(database, role)
#endif

#endif							/* IU_COMPAT_H */
