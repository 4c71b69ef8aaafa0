CREATE FUNCTION version() RETURNS text
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_version';
-- qualified: pg_catalog has one of the same name, which would be found first
COMMENT ON FUNCTION iu_core.version() IS
  'The version of the loaded library, e.g. 0.1.0. Raises nothing.';

CREATE FUNCTION is_preloaded() RETURNS boolean
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_is_preloaded';
COMMENT ON FUNCTION is_preloaded() IS
  'Whether iu_core is in shared_preload_libraries. If not, no worker runs and every gate reads closed. Raises nothing.';

CREATE FUNCTION closing_problem(OUT problem text, OUT hint text, OUT constraint_name text)
  RETURNS record
  LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_closing_problem';
COMMENT ON FUNCTION closing_problem() IS
  'Why no process would close a gate of this database, what to do about it, and the name of the refusal to open one '
  '(iu_not_preloaded, iu_no_watchdog): the library is not preloaded, the server runs in single-user mode, or '
  'max_worker_processes left no place for the launcher or for this database''s watchdog. NULLs where one would, or '
  'where one is about to be started again. Raises nothing.';

CREATE FUNCTION worker_status(
    OUT database text, OUT role text, OUT number integer, OUT pid integer, OUT state text,
    OUT since timestamptz, OUT last_tick timestamptz, OUT next_wakeup timestamptz,
    OUT counters jsonb, OUT last_error text)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_worker_status';
COMMENT ON FUNCTION worker_status() IS
  'One row per worker process, or one row that says why there is none. Read the view of the same name. Raises '
  'nothing.';

CREATE VIEW worker_status AS
  SELECT database, role, number, pid, state, since, last_tick, next_wakeup, counters, last_error
    FROM worker_status();
COMMENT ON VIEW worker_status IS
  'One row per worker process: database, role (launcher, watchdog, sender, runner), number of the sender, pid (NULL: '
  'no process), state, since when, last pass, next planned wake-up (NULL: sleeps until woken), counters since the '
  'launcher began to serve the database (launcher: passes, started; watchdog: passes, errors, closed, renewed, '
  'blocked; sender and runner: passes, errors, claimed, sent, failed), last error. States: starting, running, failing '
  '(it goes on trying), stopped (its process ended; the launcher starts another), role missing, role is superuser, '
  'role cannot log in, database missing, extension absent, nothing migrated, no worker slot (max_worker_processes), '
  'not preloaded, single-user mode, standby; overdue: a watchdog that has not closed a gate 1 s after its end, or not '
  'answered for 2 s, whatever it says itself.';

CREATE FUNCTION health(OUT severity integer, OUT status text, OUT message text)
  RETURNS record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_health';
COMMENT ON FUNCTION health() IS
  'Whether the workers of this server do their work and its databases are as they should be, for monitoring: severity '
  'as a monitoring plugin exits, status its name (0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN), message with every '
  'finding, the worst first. CRITICAL: a watchdog is overdue, has no process or has failed for 5 s; no watchdog '
  'serves this database; the launcher has ended, or max_worker_processes left no place for it; a role of iu_core is '
  'missing; iu_core is not preloaded, or the server runs in single-user mode; a watchdog found that its database is '
  'not at home where it is (a copy, a restore: fn_iu_place_confirm); a runner found a gate that lapsed though a '
  'standing approval lasts, or while events wait, a live route whose certificates cannot be used, or a difference that '
  'conformance finds, which the message names; '
  'within the last ten minutes a function of a route or a check did not end by its time, so that the process that '
  'called it was ended. WARNING: a watchdog that fails or starts; a sender or runner that fails, has ended or has not '
  'looked around for two minutes, a sender 30 s after it was woken or meant to; a database without extension or '
  'migrations, or whose conformance has not been looked at for five minutes; iu_core.instance is not given; a '
  'standing approval ends soon; a certificate of a live route does; a publication for all tables carries those of '
  'iu_core. UNKNOWN: the launcher has not started yet. A standby is OK: it has no workers. Judged from '
  'shared memory: it waits for no lock. Raises nothing.';

CREATE FUNCTION findings()
  RETURNS TABLE (severity integer, status text, about text, database text, finding text, next_action text)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_findings';
COMMENT ON FUNCTION findings() IS
  'What health() finds, one row each, the worst first: severity and status as there, what it is about (server, worker, '
  'place, gate, certificate, conformance), the database that it is about (NULL: the server), the finding in words, and '
  'what to do. No row: all is well. v_iu_trouble has these and the others. Raises nothing.';

CREATE FUNCTION wake() RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_wake';
COMMENT ON FUNCTION wake() IS
  'Wakes the launcher and every worker of this database when the current transaction commits. Raises nothing.';

CREATE FUNCTION wake_sender() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'iu_wake_sender';
COMMENT ON FUNCTION wake_sender() IS
  'Statement trigger: wakes this database''s senders and its runner at commit. SQLSTATE 39P01 if called otherwise.';

CREATE FUNCTION is_replicated() RETURNS boolean
  LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_is_replicated';
COMMENT ON FUNCTION is_replicated() IS
  'Whether what this process writes comes from another database: a worker of a subscription, or a session in replica '
  'role that has set a replication origin. Raises nothing.';

CREATE FUNCTION leave_out_replicated() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'iu_leave_out_replicated';
COMMENT ON FUNCTION leave_out_replicated() IS
  'Row trigger before INSERT, UPDATE and DELETE: leaves out what a subscription brings (is_replicated). SQLSTATE '
  '39P01 if called otherwise.';

CREATE FUNCTION keep_from_truncation() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'iu_keep_from_truncation';
COMMENT ON FUNCTION keep_from_truncation() IS
  'Statement trigger, the last one before TRUNCATE and the first one after it: where a subscription brings the '
  'TRUNCATE (is_replicated) the table keeps its rows. SQLSTATE 39P01 if called otherwise; 42501, constraint '
  'iu_append_only, in a session that set a replication origin by itself.';

CREATE FUNCTION delivery_body(event_domain text, event_type text, occurred_at timestamptz, event_id uuid, severity text,
    subject_table text, subject_ref text, canonical_address text, correlation_id text, payload jsonb)
  RETURNS text
  LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_delivery_body';
COMMENT ON FUNCTION delivery_body(text, text, timestamptz, uuid, text, text, text, text, text, jsonb) IS
  'For fn_iu_delivery_body: the body of a delivery, from the columns of its event. NULL where one is NULL that no '
  'event leaves out. SQLSTATE 23514: the time is not within the years 1 to 9999.';

CREATE FUNCTION webhook_id(event_seq bigint, route_id bigint, replay_number integer, event_id uuid) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_webhook_id';
COMMENT ON FUNCTION webhook_id(bigint, bigint, integer, uuid) IS
  'For fn_iu_webhook_id: the webhook-id of a delivery, msg_ with event_seq, id of the route, replay number and the '
  'last 12 digits of the id of the event. Raises nothing.';

CREATE FUNCTION payload_passes(filter jsonpath, payload jsonb, ms integer) RETURNS boolean
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'iu_payload_passes';
COMMENT ON FUNCTION payload_passes(jsonpath, jsonb, integer) IS
  'Whether a payload passes a filter, as jsonb_path_match has it, within so many milliseconds of processor time; '
  'NULL: it is unknown. SQLSTATE 54000: it took longer; 22038 and others: it raised, or gave no boolean.';

CREATE FUNCTION filter_path(filter text, ms integer) RETURNS jsonpath
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'iu_filter_path';
COMMENT ON FUNCTION filter_path(text, integer) IS
  'A filter as a jsonpath, read within so many milliseconds of processor time: its regular expressions are compiled '
  'then. SQLSTATE 54000: it took longer; 2201B and others: it is none.';

CREATE FUNCTION call_is_late() RETURNS boolean
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'iu_call_is_late';
COMMENT ON FUNCTION call_is_late() IS
  'Within what the runner calls: whether that had its time, and was cancelled because of it. False anywhere else. '
  'Raises nothing.';

CREATE FUNCTION log_held(route text, code text) RETURNS void
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_log_held';
COMMENT ON FUNCTION log_held(text, text) IS
  'For the claim: what holds a route, a code of iu_delivery_code; NULL: nothing. Where that is not what this session '
  'was told last, a line of the server log says so. Switches and gates, which hold every route, and circuits, which '
  'have lines of their own, leave none. A NULL route is passed over. Raises nothing.';

CREATE FUNCTION gate_changed() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'iu_gate_changed';
COMMENT ON FUNCTION gate_changed() IS
  'Statement trigger, before and after, on the tables that gates rest on: at commit every session forgets what it '
  'remembered of gates, and this database''s watchdog, senders and runner wake. SQLSTATE 39P01 if called otherwise.';

CREATE FUNCTION gate_is_open(gate_key text) RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_gate_is_open';
COMMENT ON FUNCTION gate_is_open(text) IS
  'Whether the gate is effectively open at this moment: its value is true and its last ledger row is an open made in '
  'this very place (opening_place()) that has not expired and is not dated in the future, or the value went from '
  'false to true in this transaction. False for NULL, for an unknown or never-flip gate, for a missing row or table, '
  'while the server recovers (on a standby), and without the preloaded library. SQLSTATE 25000 in a parallel '
  'operation.';

CREATE FUNCTION system_identifier() RETURNS bigint
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_system_identifier';
COMMENT ON FUNCTION system_identifier() IS
  'The cluster''s system identifier, as pg_control_system() shows it. Raises nothing.';

CREATE FUNCTION database_oid() RETURNS oid
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_database_oid';
COMMENT ON FUNCTION database_oid() IS
  'The oid of the current database. Raises nothing.';

CREATE FUNCTION place() RETURNS uuid
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_place';
COMMENT ON FUNCTION place() IS
  'Which server and database this is, and since when: a digest of system identifier, oid of the database, the '
  'instance (iu_core.instance), the timeline, and the backup from which the files came. Approvals, positions and '
  'checks made in another place mean nothing here. NULL while the server recovers, and where the library is not '
  'preloaded. Raises nothing.';

CREATE FUNCTION opening_place() RETURNS uuid
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_opening_place';
COMMENT ON FUNCTION opening_place() IS
  'Where an opening of a gate is made that is effective here and now: place(), and where no instance is given, so '
  'that a copy could not be told from its original, of this run of the server only. NULL where place() is. Raises '
  'nothing.';

CREATE FUNCTION place_facts(
    OUT place uuid, OUT instance text, OUT instance_given_by text, OUT instance_trouble text,
    OUT system_identifier bigint, OUT database_oid oid, OUT timeline integer, OUT began text,
    OUT parent_timeline integer, OUT began_at text, OUT reason text)
  RETURNS record
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_place_facts';
COMMENT ON FUNCTION place_facts() IS
  'What place() is made of: instance (SHA-256 of iu_core.instance in hex; NULL: none is given), who gives it, what is '
  'to be done about it in words (NULL: nothing), system identifier, oid of the database, timeline. And how it may '
  'have begun, as far as this run of the server tells: began (promotion: it was started as a standby, and no target '
  'ended the recovery; restore: it was started from a backup; unknown), and of the timeline: after which one it came, '
  'where in the WAL, and the reason in its history (NULL: the first one). Raises nothing.';

CREATE FUNCTION log_at_commit(line text) RETURNS void
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_log_at_commit';
COMMENT ON FUNCTION log_at_commit(text) IS
  'Writes a line into the server log, with SQLSTATE IU_LG, when the current transaction commits; nothing if it, or '
  'the subtransaction that asked, is rolled back. PREPARE TRANSACTION writes it as pending. Nothing for NULL. Raises '
  'nothing.';

CREATE FUNCTION cancel_within(ms integer) RETURNS bigint
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_cancel_within';
COMMENT ON FUNCTION cancel_within(integer) IS
  'From here on the running statement is cancelled after so many milliseconds, by a clock that nobody sets: SQLSTATE '
  '57014; or sooner, where an earlier call says so. What else cancels it (statement_timeout) stays as it was. Returns '
  'what is to be given to cancel_no_more. Does nothing for NULL. Raises nothing.';

CREATE FUNCTION cancel_no_more(before bigint) RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_cancel_no_more';
COMMENT ON FUNCTION cancel_no_more(bigint) IS
  'What cancel_within limited has ended: what that returned (NULL: there was no earlier call). Returns whether its '
  'time was up and nobody else cancelled it. Raises nothing.';

CREATE FUNCTION file_digest(path text, OUT bytes bigint, OUT sha256 text, OUT problem text)
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_file_digest';
COMMENT ON FUNCTION file_digest(text) IS
  'Size in bytes and SHA-256 in hex of a file of the server, or problem: why not, in words: who acts is neither '
  'a superuser nor in pg_read_server_files, the path is not absolute, the server cannot open it, it is not a regular '
  'file. NULLs for NULL. Raises nothing.';

CREATE FUNCTION call_as_owner(function regprocedure, event uuid, payload jsonb) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_call_as_owner';
COMMENT ON FUNCTION call_as_owner(regprocedure, uuid, jsonb) IS
  'Calls a function of a route with the rights of its owner, whatever it is by then, fires as that owner what it '
  'deferred, closes every cursor, and forgets what the function prepared and set. SQLSTATE 42501, constraint '
  'iu_callable_function: it does not take (uuid, jsonb), returns a set, or belongs to a superuser; iu_role_required: '
  'the caller is not iu_core_owner; 22004: no function; and whatever the function raises.';

CREATE FUNCTION read_with_no_rights(query text) RETURNS jsonb
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_read_with_no_rights';
COMMENT ON FUNCTION read_with_no_rights(text) IS
  'The first row of a SELECT that returns one jsonb. Its relations are those that the caller may read; a view among '
  'them reads with the rights of its owner; and everything that is evaluated (functions, casts, operators, CHECKs of '
  'domains, generated columns, what the planner evaluates) runs as iu_core_check, which holds nothing. NULL for NULL '
  'and for no row. SQLSTATE 55000, constraint iu_check_role: there is no such role, or it holds something; 0A000, '
  'iu_check_query: another statement, or another result; 42501, iu_role_required: the caller is not iu_core_owner; and '
  'whatever the query raises.';

CREATE FUNCTION read_for_caller(query text) RETURNS jsonb
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_read_for_caller';
COMMENT ON FUNCTION read_for_caller(text) IS
  'As iu_core.read_with_no_rights, but its relations are those that whoever acts may read (iu_core.caller()), whose '
  'user mappings foreign tables take. SQLSTATE 42501, constraint iu_caller_unknown: nobody acts; otherwise as '
  'iu_core.read_with_no_rights.';

CREATE FUNCTION call_for_caller(statement text, argument jsonb) RETURNS jsonb
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_call_for_caller';
COMMENT ON FUNCTION call_for_caller(text, jsonb) IS
  'Runs a SELECT of one row with one jsonb, whose $1 is the argument, with the rights of whoever acts '
  '(iu_core.caller()), and returns that value. NULL for NULL. SQLSTATE 0A000, constraint iu_caller_statement: another '
  'statement, or another result; 42501, iu_caller_unknown: nobody acts; iu_role_required: the current role is not '
  'iu_core_owner; and whatever the statement raises.';

CREATE FUNCTION require_role(roles text[]) RETURNS boolean
  LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_require_role';
COMMENT ON FUNCTION require_role(text[]) IS
  'True if the current role has the rights of one of these roles, is iu_core_owner or a superuser. SQLSTATE 42501 '
  'otherwise, constraint iu_role_required. NULL for NULL. Functions of schema public ask it before they hand on to '
  'schema iu.';

CREATE FUNCTION may(roles text[]) RETURNS boolean
  LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_may';
COMMENT ON FUNCTION may(text[]) IS
  'Whether the current role has the rights of one of these roles, is iu_core_owner or a superuser. A role that does '
  'not exist has none. NULL for NULL. Raises nothing.';

CREATE FUNCTION caller() RETURNS oid
  LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_caller_oid';
COMMENT ON FUNCTION caller() IS
  'Who acts, as a role''s oid: the role of SET ROLE, or the one that logged in where none is set, inside SECURITY '
  'DEFINER functions too; within a function that a route calls its owner. NULL where the server runs somebody''s '
  'function for its own ends (ANALYZE, indexes, materialized views, replication): then nobody acts. Raises nothing.';

CREATE FUNCTION login() RETURNS oid
  LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_login_oid';
COMMENT ON FUNCTION login() IS
  'The role that logged in, session_user, as its oid. Raises nothing.';

CREATE FUNCTION caller_may(roles text[]) RETURNS boolean
  LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_caller_may';
COMMENT ON FUNCTION caller_may(text[]) IS
  'Whether who acts, as iu_core.caller() says, has the rights of one of these roles, is iu_core_owner or a superuser. '
  'False where nobody acts. NULL for NULL. Raises nothing.';

CREATE FUNCTION end_session(pid integer) RETURNS text
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_end_session';
COMMENT ON FUNCTION end_session(integer) IS
  'Ends the session of that process in this database and waits up to 5 s for that: NULL if it has ended or was not '
  'there, otherwise what is to be done about it, in words. Sessions of superusers and of iu_core''s workers are left. '
  'NULL for NULL. SQLSTATE 42501, constraint iu_role_required: the caller is not iu_core_owner.';

CREATE FUNCTION top_transaction(xid xid) RETURNS xid
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_top_transaction';
COMMENT ON FUNCTION top_transaction(xid) IS
  'Of a savepoint''s transaction number the number of the transaction in progress that the savepoint is in; any other '
  'number as it is. NULL for NULL. Raises nothing.';

CREATE FUNCTION uuid_v5(namespace uuid, name text) RETURNS uuid
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_uuid_v5';
COMMENT ON FUNCTION uuid_v5(uuid, text) IS
  'The UUID of version 5 (RFC 9562) that a name has within a namespace: made of the SHA-1 of the namespace and of the '
  'name in UTF-8, so the same in every database. NULL for NULL. SQLSTATE 0A000, constraint iu_sha1_available, where '
  'the server refuses SHA-1 (OpenSSL in FIPS mode).';

CREATE FUNCTION xid_is_mine(xid xid) RETURNS boolean
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_xid_is_mine';
COMMENT ON FUNCTION xid_is_mine(xid) IS
  'Whether a row whose xmin this is was written by the current transaction, its savepoints and blocks with EXCEPTION '
  'included. False for what was rolled back and for every other transaction; NULL for NULL. Raises nothing.';

CREATE FUNCTION steady_clock() RETURNS timestamptz
  LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_steady_clock';
COMMENT ON FUNCTION steady_clock() IS
  'The time by a clock that nobody sets: the time of day when the server started, and what has passed since. What is '
  'waited for is told by it, so that a clock that is set back or forward makes nothing late or early. Raises nothing.';

CREATE FUNCTION clock_moved() RETURNS interval
  LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_clock_moved_sql';
COMMENT ON FUNCTION clock_moved() IS
  'By how much the time of day was set forward (negative: back) since the server started: a time of steady_clock() '
  'and this give the time of day. Zero where the two differ by less than 50 ms. Raises nothing.';

CREATE FUNCTION hold_second() RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_hold_second';
COMMENT ON FUNCTION hold_second() IS
  'Holds, to the end of the transaction, a lock that names the second of steady_clock() at which the transaction first '
  'asked for one, for who asks oldest_second(). It excludes nobody, so nobody waits for it, and nobody can take it '
  'otherwise.';

CREATE FUNCTION oldest_second() RETURNS timestamptz
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_oldest_second';
COMMENT ON FUNCTION oldest_second() IS
  'The oldest second, by steady_clock(), that a transaction of this database holds since it called hold_second(), '
  'prepared ones too; where there is none, the present. Whoever calls that from now on reads no earlier time. Raises '
  'nothing.';

CREATE FUNCTION named_lock(name text) RETURNS void
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_named_lock';
COMMENT ON FUNCTION named_lock(text) IS
  'Waits until no other transaction of this database holds the lock of this name, then holds it to the end of the '
  'transaction, or to where the savepoint is rolled back in which it was taken. Only iu_core_owner may call this, and '
  'nothing else takes such a lock. NULL locks nothing. Raises 55P03 after lock_timeout, as any lock, and 25006 while '
  'the server recovers.';

CREATE FUNCTION try_named_lock(name text) RETURNS boolean
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_try_named_lock';
COMMENT ON FUNCTION try_named_lock(text) IS
  'As named_lock(name), without waiting: false where another transaction holds it. NULL for NULL. Raises 25006 while '
  'the server recovers.';

CREATE FUNCTION current_xid() RETURNS xid
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_current_xid';
COMMENT ON FUNCTION current_xid() IS
  'The id of the current transaction, or of its savepoint or block with EXCEPTION that is running: what a row that is '
  'written now has as its xmin. Nothing is written while the server recovers.';

CREATE FUNCTION refresh_envelope(actor text) RETURNS void
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'iu_refresh_envelope';
COMMENT ON FUNCTION refresh_envelope(text) IS
  'For the runner''s chore: calls public.fn_iu_three_axis_envelope_refresh_if_stale(actor, false, false), that very '
  'function and none that fits the call better, in the name of iu_core_owner. SQLSTATE 42501 for whoever has not the '
  'rights of iu_core_owner, or where the function belongs to a stranger; 42883: there is none; and what it raises.';
