-- Nothing for anybody; what each role may do is said here and nowhere else.
-- Default privileges of whoever creates the extension gave more.
DO $revoke$
DECLARE
  v_grant record;
BEGIN
  FOR v_grant IN
    SELECT DISTINCT o.object,
           CASE a.grantee WHEN 0 THEN 'PUBLIC'
                          ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
      FROM (SELECT 'ROUTINE ' || p.oid::pg_catalog.regprocedure AS object, p.proowner AS owner,
                   coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS acl
              FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'iu_core'::pg_catalog.regnamespace
            UNION ALL
            SELECT 'TABLE ' || c.oid::pg_catalog.regclass, c.relowner, c.relacl
              FROM pg_catalog.pg_class c
             WHERE c.relnamespace = 'iu_core'::pg_catalog.regnamespace AND c.relkind IN ('r', 'v')
            UNION ALL
            SELECT 'SCHEMA ' || n.oid::pg_catalog.regnamespace, n.nspowner, n.nspacl
              FROM pg_catalog.pg_namespace n WHERE n.nspname IN ('iu', 'iu_core', 'cutter_governance')) AS o
      CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) AS a
     WHERE a.grantee <> o.owner
  LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM %s', v_grant.object, v_grant.grantee);
  END LOOP;
END
$revoke$;
-- The workers call functions of theirs by name.
GRANT USAGE ON SCHEMA iu TO iu_core_worker;
GRANT USAGE ON SCHEMA iu_core
  TO iu_core_owner, iu_core_reader, iu_core_writer, iu_core_operator, iu_core_admin, iu_core_agent, iu_core_worker;
GRANT EXECUTE ON FUNCTION iu_core.version(), is_preloaded(), gate_is_open(text), system_identifier(), database_oid()
  TO iu_core_owner, iu_core_reader, iu_core_writer, iu_core_worker;
GRANT EXECUTE ON FUNCTION gate_is_open(text) TO iu_core_agent;
GRANT EXECUTE ON FUNCTION place(), opening_place(), place_facts()
  TO iu_core_owner, iu_core_reader, iu_core_writer, iu_core_worker;
GRANT EXECUTE ON FUNCTION closing_problem(), text_problem(text, boolean), key_problem(jsonb), text_shown(text),
  text_made_fit(text, boolean), markdown_text(text, boolean), manifest_digest(integer[], uuid[], text[])
  TO iu_core_owner, iu_core_reader;
-- What views of ours call, views of invariants and surfaces may read through them.
GRANT EXECUTE ON FUNCTION gate_is_open(text), is_preloaded(), system_identifier(), database_oid(), place(),
  opening_place(), steady_clock(), clock_moved(), worker_status(), unheard_events(), migration_scripts(),
  manifest_digest(integer[], uuid[], text[]) TO iu_core_check;
GRANT EXECUTE ON FUNCTION webhook_id(bigint, bigint, integer, uuid),
  delivery_body(text, text, timestamptz, uuid, text, text, text, text, text, jsonb)
  TO iu_core_owner, iu_core_reader, iu_core_operator;
GRANT EXECUTE ON FUNCTION payload_passes(jsonpath, jsonb, integer), filter_path(text, integer), call_is_late()
  TO iu_core_owner;
-- What a monitoring system asks, for the role that the server has for it.
GRANT USAGE ON SCHEMA iu_core TO pg_monitor;
GRANT EXECUTE ON FUNCTION iu_core.version(), is_preloaded(), worker_status(), health(), findings(), unheard_events(),
  require_role(text[]) TO pg_monitor;
GRANT SELECT ON worker_status, unheard_events TO pg_monitor;
GRANT EXECUTE ON FUNCTION worker_status(), health(), findings() TO iu_core_owner, iu_core_reader;
GRANT SELECT ON worker_status TO iu_core_owner, iu_core_reader;
GRANT EXECUTE ON FUNCTION count_unheard(text, text, text), forget_unheard(text, text) TO iu_core_owner;
GRANT EXECUTE ON FUNCTION unheard_events() TO iu_core_owner, iu_core_reader;
GRANT SELECT ON unheard_events TO iu_core_owner, iu_core_reader;
GRANT EXECUTE ON FUNCTION steady_clock(), clock_moved()
  TO iu_core_owner, iu_core_reader, iu_core_writer, iu_core_operator, iu_core_worker;
GRANT EXECUTE ON FUNCTION wake() TO iu_core_owner, iu_core_operator, iu_core_worker;
GRANT EXECUTE ON FUNCTION log_held(text, text), wake_sender(), gate_changed(), log_at_commit(text) TO iu_core_owner;
GRANT EXECUTE ON FUNCTION hold_second(), oldest_second(), named_lock(text), try_named_lock(text) TO iu_core_owner;
GRANT EXECUTE ON FUNCTION is_replicated(), leave_out_replicated(), keep_from_truncation() TO iu_core_owner;
GRANT EXECUTE ON FUNCTION uuid_v5(uuid, text) TO iu_core_owner, iu_core_reader, iu_core_writer, iu_core_worker;
GRANT EXECUTE ON FUNCTION xid_is_mine(xid), current_xid(), call_as_owner(regprocedure, uuid, jsonb),
  read_with_no_rights(text), read_for_caller(text), call_for_caller(text, jsonb) TO iu_core_owner;
GRANT EXECUTE ON FUNCTION cancel_within(integer), cancel_no_more(bigint), file_digest(text) TO iu_core_owner;
GRANT EXECUTE ON FUNCTION row_sources(), grants_text(aclitem[], "char", oid), named_objects(oid[]), object_names(),
  sequence_states(oid[]), column_states(oid[]),
  relation_state(oid, boolean, boolean), relation_detail(oid), relation_states(oid[]), other_states(oid[]),
  object_states(oid[]), object_inventory() TO iu_core_owner, iu_core_reader;
GRANT EXECUTE ON FUNCTION guard_rows(regclass, text), refresh_envelope(text) TO iu_core_owner;
-- It answers about the caller alone; who may not execute it could not be told why.
GRANT EXECUTE ON FUNCTION require_role(text[])
  TO iu_core_owner, iu_core_reader, iu_core_writer, iu_core_operator, iu_core_admin, iu_core_agent, iu_core_worker;
GRANT EXECUTE ON FUNCTION top_transaction(xid) TO iu_core_owner, iu_core_reader;
GRANT EXECUTE ON FUNCTION end_session(integer) TO iu_core_owner;
-- Views ask it of whoever reads them.
GRANT EXECUTE ON FUNCTION may(text[])
  TO iu_core_owner, iu_core_reader, iu_core_writer, iu_core_operator, iu_core_admin, iu_core_agent, iu_core_check;
GRANT EXECUTE ON FUNCTION is_preloaded() TO iu_core_check;
-- The form of the three-axis view that has all units calls it, and views for people and of invariants read that.
GRANT EXECUTE ON FUNCTION keys_by_group(text[], text[]) TO iu_core_owner, iu_core_reader, iu_core_check;
GRANT EXECUTE ON FUNCTION caller(), login(), caller_may(text[]) TO iu_core_owner;
GRANT EXECUTE ON FUNCTION migration_scripts() TO iu_core_owner, iu_core_reader;
GRANT SELECT ON applied_migration, migrations, catalog_objects, subscription_triggers
  TO iu_core_owner, iu_core_reader;
GRANT EXECUTE ON FUNCTION migrate(integer, boolean), rollback(integer, boolean, boolean) TO iu_core_admin;
REVOKE ALL ON FOREIGN DATA WRAPPER qdrant_fdw, directus_fdw FROM PUBLIC;
GRANT USAGE ON FOREIGN DATA WRAPPER qdrant_fdw, directus_fdw TO iu_core_owner, iu_core_admin;
GRANT EXECUTE ON FUNCTION egress_refusal(text)
  TO iu_core_owner, iu_core_operator, iu_core_worker;
GRANT EXECUTE ON FUNCTION address_is_allowed(inet) TO iu_core_owner, iu_core_operator;
GRANT EXECUTE ON FUNCTION http_probe(text, text, text[], text, integer) TO iu_core_admin;
GRANT EXECUTE ON FUNCTION certificate_problem(text, text, text), certificate_files(text, text, text) TO iu_core_owner;
GRANT EXECUTE ON FUNCTION webhook_key(), webhook_signature(text, bigint, text, text[]) TO iu_core_owner;

-- The workers look again once this is committed.
SELECT wake();
