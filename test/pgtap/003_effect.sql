-- Every change of a governed value looks whether it had its effect, and names what stands in its way.
\ir setup.psql
SELECT plan(25);

SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 't') \g /dev/null
SELECT fn_iu_route_add('effect', 'version_applied', 'https://hooks.example/x', 'ann', 't') \g /dev/null
SELECT fn_iu_event_type_register('platform_x', 'happened', 'update', 'immediate', 'info', 'd', 'ann', 't') \g /dev/null
CREATE VIEW effect_view AS SELECT 1 AS left_value, 1 AS right_value;
GRANT SELECT ON effect_view TO iu_core_owner;
SELECT fn_iu_invariant_register('effect', 'effect_view', 'holds', 'ann', 't') \g /dev/null
SELECT fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 60, now() + interval '1 hour', 'ann', 't',
  p_approval_id => 'd1a6a3f4-0000-4000-8000-000000000001') \g /dev/null

-- ---- what stands in the way is named

CREATE RULE nope AS ON UPDATE TO dot_config DO INSTEAD NOTHING;
SELECT is(iu.fn_iu_in_the_way('dot_config'), 'rule nope ON public.dot_config', 'a rule on a table is named');
SELECT pg_temp.refuses($$SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'ann', 't', 60)$$,
  '55000', 'rule nope ON public[.]dot_config',
    'an opening that a rule turns into nothing is refused, with the rule''s name');
SELECT is((SELECT count(*) FROM iu_gate_transition WHERE gate_key = 'iu_core.composer_enabled'), 0::bigint,
  'an opening that had no effect is in no ledger');
SELECT pg_temp.refuses($$SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'ann', 't', 60)$$,
  '55000', 'iu_change_without_effect', 'a change without effect has a constraint name of its own');
DROP RULE nope ON dot_config;
CREATE FUNCTION pg_temp.skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION pg_temp.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW := OLD; RETURN NEW; END';
CREATE TRIGGER skip BEFORE INSERT OR UPDATE OR DELETE ON dot_config FOR EACH ROW EXECUTE FUNCTION pg_temp.skip();
SELECT is(iu.fn_iu_in_the_way('dot_config'), 'trigger skip ON public.dot_config',
  'a trigger of somebody else''s is named');
DROP TRIGGER skip ON dot_config;
ALTER TABLE dot_config ENABLE ROW LEVEL SECURITY;
SELECT is(iu.fn_iu_in_the_way('dot_config'), 'something that the catalog does not show',
  'row security that does not hold for the owner of a table is in nobody''s way');
ALTER TABLE dot_config FORCE ROW LEVEL SECURITY;
CREATE POLICY none ON dot_config AS RESTRICTIVE USING (false);
SELECT is(iu.fn_iu_in_the_way('dot_config'),
  'row security of public.dot_config, forced for its owner, policy "none" ON public.dot_config',
  'row security and its policies are named');
DROP POLICY none ON dot_config;
ALTER TABLE dot_config NO FORCE ROW LEVEL SECURITY;
ALTER TABLE dot_config DISABLE ROW LEVEL SECURITY;

-- ---- the ledger

CREATE RULE nope AS ON INSERT TO iu_gate_transition DO INSTEAD NOTHING;
SELECT pg_temp.refuses($$SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'ann', 't', 60)$$,
  '55000', 'rule nope ON public.iu_gate_transition', 'an opening that the ledger does not take is refused');
DROP RULE nope ON iu_gate_transition;

-- ---- all other changes

CREATE FUNCTION pg_temp.hindered(p_table regclass, p_way text, p_sql text) RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
  v_constraint text := 'nothing was refused';
BEGIN
  BEGIN
    EXECUTE format('CREATE TRIGGER hinders BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %s()',
                   p_table, p_way);
    EXECUTE p_sql;
    RAISE SQLSTATE 'IUT01';
  EXCEPTION WHEN SQLSTATE 'IUT01' THEN
    NULL;
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
    v_constraint := concat_ws(': ', v_constraint, CASE WHEN SQLERRM !~ 'hinders ON' THEN SQLERRM END);
  END;
  RETURN v_constraint;
END
$function$;
SELECT is(pg_temp.hindered(t::regclass, 'pg_temp.' || w, 'SELECT ' || s), 'iu_change_without_effect',
  format('%s of %s by a trigger (%s) is told', s, t, w)) FROM (VALUES
  ('dot_config', 'keep', $$fn_iu_switch_set('iu_core.routes_master_enabled', 'false', 'ann', 't')$$),
  ('dot_config', 'skip', $$fn_iu_switch_set('iu_core.routes_master_enabled', 'false', 'ann', 't')$$),
  ('dot_config', 'keep', $$fn_iu_gate_approval_mode_set('strict', 'ann', 't')$$),
  ('dot_config', 'skip', $$fn_iu_gate_define('platform.x', 'd', 'ann', 't')$$),
  ('dot_config', 'keep', $$fn_iu_route_allow('effect', 'ann', 't')$$),
  ('iu_outbound_route', 'skip', $$fn_iu_route_add('other', 'version_applied', 'https://hooks.example/x', 'ann', 't')$$),
  ('iu_outbound_route', 'keep', $$fn_iu_route_set('effect', 'ann', 't', p_timeout_ms => 999)$$),
  ('iu_outbound_route', 'keep', $$fn_iu_route_retire('effect', 'ann', 't')$$),
  ('iu_outbound_route', 'keep', $$fn_iu_route_dry_run('effect', 'ann', 't')$$),
  ('iu_route_secret', 'keep', $$fn_iu_route_secret_end('effect', now() + interval '1 s', 'ann', 't')$$),
  ('event_type_registry', 'keep', $$fn_iu_event_type_register('platform_x', 'happened', 'update', 'immediate', 'info',
      'd', 'ann', 't', false)$$),
  ('event_type_registry', 'skip', $$fn_iu_event_type_unregister('platform_x', 'happened', 'ann', 't')$$),
  ('iu_invariant', 'keep', $$fn_iu_invariant_enable('effect', false, 'ann', 't')$$),
  ('iu_gate_demand', 'skip', $$fn_iu_gate_demand_set('iu_core.composer_enabled', 'effect', 60, 'ann', 't')$$),
  ('iu_gate_approver', 'skip', $$fn_iu_gate_approvers_set('iu_core.composer_enabled', '{postgres}', 'ann', 't')$$),
  ('iu_gate_revocation', 'skip', $$fn_iu_gate_approval_revoke('d1a6a3f4-0000-4000-8000-000000000001', 'ann', 't')$$),
  ('iu_core_retention_policy', 'keep', $$fn_iu_core_retention_policy_set('event_outbox', 99, 'ann', 't')$$))
  AS c (t, w, s);

SELECT * FROM finish();
ROLLBACK;
