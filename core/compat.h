/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The one place that knows how PostgreSQL 15 to 18 differ.
 *
 * Every other file uses the names that the newest server has. What an older one
 * lacks is defined here.
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
#else
#define rd_newRelfilelocatorSubid rd_newRelfilenodeSubid
#endif

/* Since PostgreSQL 17 an extension names its wait events; before that all extensions share one. */
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#define iu_wait_event(name) WaitEventExtensionNew(name)
#else
#include "utils/wait_event.h"
#define iu_wait_event(name) ((uint32) PG_WAIT_EXTENSION)
#endif

/* PostgreSQL 18 asks for a place in which to count index searches. */
#if PG_VERSION_NUM < 180000
#include "access/genam.h"
#define index_beginscan(table, index, snapshot, instrument, keys, orderbys) \
	index_beginscan(table, index, snapshot, keys, orderbys)
#endif

/* PostgreSQL 18 runs a portal to its end only, and has no argument that says so. */
#if PG_VERSION_NUM >= 180000
#define iu_portal_run(portal) \
	PortalRun(portal, FETCH_ALL, false, None_Receiver, None_Receiver, NULL)
#else
#define iu_portal_run(portal) \
	PortalRun(portal, FETCH_ALL, false, true, None_Receiver, None_Receiver, NULL)
#endif

/* The same of an executor. */
#if PG_VERSION_NUM >= 180000
#define iu_executor_run(query) ExecutorRun(query, ForwardScanDirection, 0)
#else
#define iu_executor_run(query) ExecutorRun(query, ForwardScanDirection, 0, true)
#endif

/* PostgreSQL 17 added the restriction clauses of a join, of which there are none here; 18 counts disabled nodes. */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#define iu_create_foreignscan_path(root, rel, rows, disabled, startup, total, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, disabled, startup, total, NIL, outer, NULL, NIL, private)
#define iu_create_foreign_upper_path(root, rel, target, rows, startup, total, private) \
	create_foreign_upper_path(root, rel, target, rows, 0, startup, total, NIL, NULL, NIL, private)
#elif PG_VERSION_NUM >= 170000
#define iu_create_foreignscan_path(root, rel, rows, disabled, startup, total, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, outer, NULL, NIL, private)
#define iu_create_foreign_upper_path(root, rel, target, rows, startup, total, private) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, NIL, NULL, NIL, private)
#else
#define iu_create_foreignscan_path(root, rel, rows, disabled, startup, total, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, outer, NULL, private)
#define iu_create_foreign_upper_path(root, rel, target, rows, startup, total, private) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, NIL, NULL, private)
#endif

/* What a check hook passes on as "extra": malloc'd, until PostgreSQL 16 exported an allocator for it. */
#if PG_VERSION_NUM >= 160000
#define iu_guc_malloc(size) guc_malloc(LOG, (size))
#define iu_guc_free(pointer) guc_free(pointer)
#else
#define iu_guc_malloc(size) malloc(size)
#define iu_guc_free(pointer) free(pointer)
#endif

/* The settings that the server knows, in no order, and how many. Since PostgreSQL 16 one call gives both. */
#if PG_VERSION_NUM >= 160000
#define iu_all_settings(count) get_guc_variables(count)
#else
#define iu_all_settings(count) (*(count) = GetNumConfigOptions(), get_guc_variables())
#endif

/* Since PostgreSQL 17 a resource owner may own a wait event set; ours have no owner and are freed by hand. */
#if PG_VERSION_NUM >= 170000
#define iu_create_wait_event_set(context, size) CreateWaitEventSet(NULL, (size))
#else
#define iu_create_wait_event_set(context, size) CreateWaitEventSet((context), (size))
#endif

/* PostgreSQL 18 changed the binary side of base64 from char to uint8. */
#if PG_VERSION_NUM >= 180000
#define iu_b64_encode(from, length, to, size) pg_b64_encode((const uint8 *) (from), (length), (to), (size))
#define iu_b64_decode(from, length, to, size) pg_b64_decode((from), (length), (uint8 *) (to), (size))
#else
#define iu_b64_encode(from, length, to, size) pg_b64_encode((const char *) (from), (length), (to), (size))
#define iu_b64_decode(from, length, to, size) pg_b64_decode((from), (length), (char *) (to), (size))
#endif

/* Since PostgreSQL 16 one function tells who owns an object, of whatever kind. */
#if PG_VERSION_NUM >= 160000
#define iu_owns_database(database, role) object_ownercheck(DatabaseRelationId, database, role)
#else
#define iu_owns_database(database, role) pg_database_ownercheck(database, role)
#endif

/* PostgreSQL 17 asks whether a stronger lock does as well. */
#include "storage/lock.h"
#if PG_VERSION_NUM < 170000
#define LockHeldByMe(tag, mode, orstronger) LockHeldByMe(tag, mode)
#endif

/*
 * Whether who has the rights of a role may take it on as well, and so see what only the role itself is shown. Since
 * PostgreSQL 16 a grant WITH SET FALSE gives the rights alone.
 */
#include "utils/acl.h"
#if PG_VERSION_NUM >= 160000
#define iu_may_become(member, role) member_can_set_role(member, role)
#else
#define iu_may_become(member, role) is_member_of_role(member, role)
#endif

/* PostgreSQL 17 made the type of a column's statistics target smaller. */
#if PG_VERSION_NUM >= 170000
#define iu_statistics_target(datum) DatumGetInt16(datum)
#else
#define iu_statistics_target(datum) DatumGetInt32(datum)
#endif

/*
 * How many transactions that wrote something have ended since the server started: where it is the same, a snapshot sees
 * the same. PostgreSQL 17 renamed the variable.
 */
#include "access/transam.h"
#if PG_VERSION_NUM >= 170000
#define iu_transactions_ended() (*(volatile uint64 *) &TransamVariables->xactCompletionCount)
#else
#define iu_transactions_ended() (*(volatile uint64 *) &ShmemVariableCache->xactCompletionCount)
#endif

/* Since PostgreSQL 17 a backend's local transaction id stands in a struct of its own. */
#if PG_VERSION_NUM >= 170000
#define iu_local_transaction() (MyProc->vxid.lxid)
#else
#define iu_local_transaction() (MyProc->lxid)
#endif

/* Since PostgreSQL 18 it stands before a declaration that the function does not return. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Since PostgreSQL 17 a JSON lexer may stand in memory of the caller's. */
#if PG_VERSION_NUM >= 170000
#define iu_json_lexer(text, length) makeJsonLexContextCstringLen(NULL, text, length, PG_UTF8, false)
#else
#define iu_json_lexer(text, length) makeJsonLexContextCstringLen(text, length, PG_UTF8, false)
#endif

/* All settings of the process. PostgreSQL 16 made one call of two. */
#if PG_VERSION_NUM >= 160000
#define iu_guc_variables(count) get_guc_variables(count)
#else
#define iu_guc_variables(count) (*(count) = GetNumConfigOptions(), get_guc_variables())
#endif

/* Since PostgreSQL 18 the postmaster's list of background workers is doubly linked. */
#include "lib/ilist.h"
#if PG_VERSION_NUM >= 180000
#define iu_foreach_background_worker(cursor, list) dlist_foreach(cursor, list)
typedef dlist_iter IuBackgroundWorkerCursor;
#define iu_background_worker(cursor) dlist_container(RegisteredBgWorker, rw_lnode, (cursor).cur)
#else
#define iu_foreach_background_worker(cursor, list) slist_foreach(cursor, list)
typedef slist_iter IuBackgroundWorkerCursor;
#define iu_background_worker(cursor) slist_container(RegisteredBgWorker, rw_lnode, (cursor).cur)
#endif

#endif							/* IU_COMPAT_H */
