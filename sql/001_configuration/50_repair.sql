-- Putting right what a restore without privileges, or a GRANT on everything, did.

CREATE FUNCTION iu.fn_iu_grants_repair(p_class text, p_oid oid, p_wanted text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_object text := CASE p_class WHEN 'function' THEN 'FUNCTION ' || p_oid::regprocedure
                                WHEN 'schema' THEN 'SCHEMA ' || p_oid::regnamespace
                                WHEN 'type' THEN 'TYPE ' || p_oid::regtype
                                WHEN 'sequence' THEN 'SEQUENCE ' || p_oid::regclass
                                ELSE 'TABLE ' || p_oid::regclass END;
  v_grant  record;
BEGIN
  FOR v_grant IN
    SELECT DISTINCT x.grantee
      FROM (SELECT p.proacl, 'f'::"char", p.proowner FROM pg_proc p WHERE p_class = 'function' AND p.oid = p_oid
            UNION ALL SELECT n.nspacl, 'n', n.nspowner FROM pg_namespace n WHERE p_class = 'schema' AND n.oid = p_oid
            UNION ALL SELECT t.typacl, 'T', t.typowner FROM pg_type t WHERE p_class = 'type' AND t.oid = p_oid
            UNION ALL SELECT c.relacl, CASE p_class WHEN 'sequence' THEN 's' ELSE 'r' END, c.relowner FROM pg_class c
             WHERE p_class IN ('table', 'view', 'sequence') AND c.oid = p_oid) AS a (acl, kind, owner)
      CROSS JOIN LATERAL aclexplode(coalesce(a.acl, acldefault(a.kind, a.owner))) x
     WHERE x.grantee <> a.owner
  LOOP
    EXECUTE format('REVOKE ALL ON %s FROM %s', v_object,
      CASE v_grant.grantee WHEN 0 THEN 'PUBLIC' ELSE v_grant.grantee::regrole::text END);
  END LOOP;
  FOR v_grant IN
    SELECT split_part(g.entry, ': ', 1) AS grantee, replace(split_part(g.entry, ': ', 2), ' ', ', ') AS privileges
      FROM regexp_split_to_table(coalesce(p_wanted, ''), ', ') AS g (entry) WHERE g.entry <> ''
  LOOP
    EXECUTE format('GRANT %s ON %s TO %s', v_grant.privileges, v_object,
      CASE v_grant.grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(v_grant.grantee) END);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_grants_repair IS
  'For fn_iu_conformance_repair: takes away what grants an object has and gives those that it should have. Arguments: '
  'class and oid of the object, and the grants in the words of iu_core.object_inventory().';

CREATE FUNCTION iu.fn_iu_conformance_repair(p_actor text, p_reason text)
  RETURNS TABLE (object_class text, object_name text, done text, left_over text)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_object record;
BEGIN
  IF coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '' THEN
    RAISE check_violation USING
      MESSAGE = 'actor and reason are required', CONSTRAINT = 'iu_actor_and_reason',
      HINT = 'Say who repairs the grants, and why.';
  END IF;
  FOR v_object IN
    SELECT g.object_class AS class, g.object_name AS name, i.owner, n.object_id AS oid,
           i.grants AS grants_are, g.grants AS grants_wanted, i.state AS state_is, g.state AS state_wanted,
           i.digest IS DISTINCT FROM g.digest
             AND (g.digest NOT LIKE '%:%' OR split_part(i.digest, ':', 1) = split_part(g.digest, ':', 1)) AS is_another
      FROM public.iu_governed_object g
      JOIN iu_core.object_inventory() i ON i.object_class = g.object_class AND i.object_name = g.object_name
      JOIN iu_core.object_names() n ON n.object_class = g.object_class AND n.object_name = g.object_name
     WHERE n.object_id IS NOT NULL
       AND (i.owner <> 'iu_core_owner' OR i.grants IS DISTINCT FROM g.grants OR i.state IS DISTINCT FROM g.state)
     ORDER BY g.object_class, g.object_name
  LOOP
    object_class := v_object.class;
    object_name := v_object.name;
    done := NULL;
    left_over := NULL;
    IF v_object.owner <> 'iu_core_owner' THEN
      left_over := format('it belongs to "%s": a superuser gives it back with ALTER ... OWNER TO iu_core_owner, '
                          'once it is known to be what the migration made', v_object.owner);
    ELSIF v_object.is_another THEN
      left_over := 'its definition is another one: roll its migration back and migrate again, or restore it';
    ELSIF v_object.grants_are IS DISTINCT FROM v_object.grants_wanted AND v_object.class <> 'trigger' THEN
      IF v_object.grants_are LIKE '%;%' OR v_object.grants_wanted LIKE '%;%' THEN
        left_over := 'grants on columns are given by hand';
      ELSE
        PERFORM iu.fn_iu_grants_repair(v_object.class, v_object.oid, v_object.grants_wanted);
        done := format('grants %s', coalesce(v_object.grants_wanted, 'none'));
      END IF;
    END IF;
    IF left_over IS NULL AND v_object.state_is IS DISTINCT FROM v_object.state_wanted THEN
      IF v_object.class = 'trigger' THEN
        EXECUTE (SELECT format('ALTER TABLE %s %s TRIGGER %I', t.tgrelid::regclass,
                               CASE v_object.state_wanted WHEN 'enabled always' THEN 'ENABLE ALWAYS'
                                                          WHEN 'enabled' THEN 'ENABLE'
                                                          WHEN 'disabled' THEN 'DISABLE' ELSE 'ENABLE REPLICA' END, t.tgname)
                   FROM pg_trigger t WHERE t.oid = v_object.oid);
        done := concat_ws('; ', done, v_object.state_wanted);
      ELSE
        left_over := format('%s instead of %s: a person decides, by ALTER', v_object.state_is, v_object.state_wanted);
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;
  -- The ledger of commands is there from migration 002 on.
  IF to_regclass('public.dot_iu_command_run') IS NOT NULL THEN
    PERFORM iu.fn_dot_iu_command_log('dot_iu_conformance_repair', 'health', 'apply', 'applied', true, NULL, NULL,
      jsonb_build_object('reason', p_reason), p_actor);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_conformance_repair IS
  'What public.fn_iu_conformance_repair hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_conformance_repair(p_actor text, p_reason text)
  RETURNS TABLE (object_class text, object_name text, done text, left_over text)
  LANGUAGE sql VOLATILE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_conformance_repair(p_actor, p_reason) WHERE iu_core.require_role('{iu_core_admin}');
END;
COMMENT ON FUNCTION public.fn_iu_conformance_repair IS
  'Puts grants and trigger states of governed objects back to what they were when their migrations had run: who, why. '
  'One row per object that differed: done says what was put right; left_over why something was not: the object belongs '
  'to another role or has another definition, and a right or a trigger on it would serve what nobody knows, or its '
  'state is a setting or row security, which a person decides. Logged as dot_iu_conformance_repair. SQLSTATE 42501 for '
  'whoever is not in iu_core_admin, 23514 without actor or reason.';
