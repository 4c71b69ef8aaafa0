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
  EXECUTE format('GRANT ALL ON %s TO iu_core_owner', v_object);
  -- CASCADE takes along what a grantee, who had the grant option, gave to others.
  -- Taken from a table, rights on its columns go as well.
  FOR v_grant IN
    SELECT DISTINCT x.grantee
      FROM (SELECT p.proacl, 'f'::"char", p.proowner FROM pg_proc p WHERE p_class = 'function' AND p.oid = p_oid
            UNION ALL SELECT n.nspacl, 'n', n.nspowner FROM pg_namespace n WHERE p_class = 'schema' AND n.oid = p_oid
            UNION ALL SELECT t.typacl, 'T', t.typowner FROM pg_type t WHERE p_class = 'type' AND t.oid = p_oid
            UNION ALL SELECT c.relacl, CASE p_class WHEN 'sequence' THEN 's'::"char" ELSE 'r' END, c.relowner
              FROM pg_class c WHERE p_class IN ('table', 'view', 'sequence') AND c.oid = p_oid
            UNION ALL SELECT a.attacl, 'c', c.relowner FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             WHERE p_class IN ('table', 'view') AND c.oid = p_oid) AS a (acl, kind, owner)
      CROSS JOIN LATERAL aclexplode(coalesce(a.acl, acldefault(a.kind, a.owner))) x
     WHERE x.grantee <> a.owner
  LOOP
    EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', v_object,
      CASE v_grant.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(v_grant.grantee)) END);
  END LOOP;
  FOR v_grant IN
    SELECT split_part(g.entry, ': ', 1) AS grantee,
           (SELECT string_agg(x.privilege || CASE WHEN p.of_column
                              THEN format(' (%I)', split_part(p.part, ': ', 1)) ELSE '' END, ', ')
              FROM regexp_split_to_table(split_part(g.entry, ': ', 2), ' ') AS x (privilege)) AS privileges
      FROM (SELECT s.part, s.part ~ '^[^:,]+: [^:,]+: ' AS of_column
              FROM regexp_split_to_table(coalesce(p_wanted, ''), '; ') AS s (part)) AS p
      CROSS JOIN LATERAL regexp_split_to_table(
        CASE WHEN p.of_column THEN regexp_replace(p.part, '^[^:,]+: ', '') ELSE p.part END, ', ') AS g (entry)
     WHERE g.entry <> ''
  LOOP
    EXECUTE format('GRANT %s ON %s TO %s', v_grant.privileges, v_object,
      CASE v_grant.grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(v_grant.grantee) END);
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_grants_repair IS
  'For fn_iu_conformance_repair: takes away what grants an object and its columns have and gives those that it should '
  'have. Arguments: class and oid of the object, and the grants in the words of iu_core.object_inventory().';

CREATE FUNCTION iu.fn_iu_trigger_repair(p_oid oid, p_wanted text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  EXECUTE (SELECT format('ALTER TABLE %s %s TRIGGER %I', t.tgrelid::regclass,
                         CASE p_wanted WHEN 'enabled always' THEN 'ENABLE ALWAYS' WHEN 'enabled' THEN 'ENABLE'
                                       WHEN 'disabled' THEN 'DISABLE' ELSE 'ENABLE REPLICA' END, t.tgname)
             FROM pg_trigger t WHERE t.oid = p_oid);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_trigger_repair IS
  'For fn_iu_conformance_repair: enables or disables a trigger. Arguments: its oid, and its state in the words of '
  'iu_core.object_inventory().';

CREATE FUNCTION iu.fn_iu_subscriptions_repair(p_table regclass) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_name name;
BEGIN
  FOR v_name IN
    SELECT t.tgname FROM pg_trigger t
     WHERE t.tgrelid = p_table AND t.tgenabled <> 'R' AND t.tgname ~ '^trg_(0|1|zz)_subscription'
  LOOP
    EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER %I', p_table, v_name);
  END LOOP;
  PERFORM iu.fn_iu_leave_out_subscriptions();
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_subscriptions_repair IS
  'For fn_iu_conformance_repair: what leaves out the rows of a subscription fires again, and is made where it is '
  'missing. Argument: the table. Raises nothing of its own.';

CREATE FUNCTION iu.fn_iu_conformance_advice(p_check_code text, p_object_class text, p_found text, p_detail text)
  RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT CASE
    WHEN p_check_code = 'D8' AND p_detail ~ '^(runs with the rights|cannot tell)'
      THEN 'a superuser gives back what belongs to iu_core_owner, or restores the database'
    WHEN p_check_code = 'D8' AND p_object_class IN ('config', 'event_type', 'route')
      THEN 'an administrator registers it or removes it'
    WHEN p_detail ~ '^a partition that is not as its table' AND p_detail ~ 'is owned by'
      THEN 'a superuser gives it back with ALTER TABLE ... OWNER TO iu_core_owner'
    WHEN p_detail ~ '^a partition that is not as its table'
      THEN 'a superuser takes away what it has and its table has not, or gives it what it lacks'
    WHEN p_check_code = 'D8' THEN 'a superuser removes the object, or gives and takes the right, once it is known who '
      'did it'
    WHEN p_found IS NULL AND p_object_class IN ('config', 'event_type', 'route')
      THEN 'a person decides whether it is brought back, and with which values'
    WHEN p_found IS NULL
      THEN 'a superuser makes it again as iu_core_owner, with the text of its migration, or restores it from a dump'
    WHEN p_detail ~ '(^|; )owned by '
      THEN 'a superuser gives it back with ALTER ... OWNER TO iu_core_owner, '
           'once it is known to be what the migration made'
    WHEN p_detail ~ '(^|; )its definition is another one$'
      THEN 'a right or an enabled trigger on it would serve what nobody knows: '
           'a superuser makes it again as iu_core_owner, with the text of its migration'
    ELSE 'it is a setting or row security, which a person changes, by ALTER'
  END
$function$;
COMMENT ON FUNCTION iu.fn_iu_conformance_advice IS
  'For fn_iu_conformance_repair: why a row of fn_iu_conformance that is not ok is left to people, and what they do. '
  'Arguments: columns of that row.';

CREATE FUNCTION iu.fn_iu_partitions_mend()
  RETURNS TABLE (object_class text, object_name text, done text)
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_wrong record;
BEGIN
  FOR v_wrong IN
    WITH ours AS (
      SELECT c.* FROM iu.fn_iu_partitions() x
        JOIN pg_class c ON c.oid = x.relation AND c.relowner = 'iu_core_owner'::regrole
    )
    SELECT 'table' AS class, c.oid, c.oid::regclass::text AS name, NULL AS state
      FROM ours c
     WHERE iu_core.grants_text(c.relacl, 'r', c.relowner) IS NOT NULL
        OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)
    UNION ALL
    SELECT 'trigger', t.oid, format('%I ON %s', t.tgname, c.oid::regclass),
           CASE w.state WHEN 'O' THEN 'enabled' WHEN 'A' THEN 'enabled always' WHEN 'D' THEN 'disabled'
                        ELSE 'enabled for replication only' END
      FROM ours c JOIN pg_trigger t ON t.tgrelid = c.oid
      LEFT JOIN pg_trigger o ON o.oid = t.tgparentid
      LEFT JOIN iu.fn_iu_subscription_triggers() s
        ON s.trigger_name = t.tgname AND s.of_partition AND t.tgparentid = 0 AND to_regprocedure(s.calls) = t.tgfoid
      CROSS JOIN LATERAL (SELECT coalesce(o.tgenabled, CASE WHEN s.calls IS NOT NULL THEN 'R'::"char" END) AS state) w
     WHERE t.tgenabled <> w.state
  LOOP
    object_class := v_wrong.class;
    object_name := v_wrong.name;
    done := coalesce(v_wrong.state, 'grants none');
    IF v_wrong.class = 'table' THEN
      PERFORM iu.fn_iu_grants_repair('table', v_wrong.oid, NULL);
    ELSE
      PERFORM iu.fn_iu_trigger_repair(v_wrong.oid, v_wrong.state);
    END IF;
    RETURN NEXT;
  END LOOP;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_partitions_mend IS
  'For fn_iu_conformance_mend: takes away the grants that single partitions of iu_core_owner have, and puts the states '
  'of their triggers right. One row for each.';

CREATE FUNCTION iu.fn_iu_conformance_mend()
  RETURNS TABLE (object_class text, object_name text, done text)
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_found  jsonb;
  v_object record;
BEGIN
  -- Read as a whole first: what is mended may be a trigger of the very table that is read.
  SELECT jsonb_agg(to_jsonb(f) ORDER BY f.class, f.name) INTO v_found
    FROM (SELECT g.object_class AS class, g.object_name AS name, i.object_id AS oid, g.grants, g.state,
                 i.grants AS grants_now, i.state AS state_now
            FROM public.iu_governed_object g
            JOIN iu.fn_iu_governed_states() i ON i.object_class = g.object_class AND i.object_name = g.object_name
           WHERE i.object_id IS NOT NULL AND i.owner = 'iu_core_owner'
             AND (i.digest = g.digest
                  OR (i.digest LIKE '%:%' AND split_part(i.digest, ':', 1) <> split_part(g.digest, ':', 1)))
             AND (i.grants IS DISTINCT FROM g.grants OR i.state IS DISTINCT FROM g.state)) AS f;
  FOR v_object IN
    SELECT f.*, f.grants_now IS DISTINCT FROM f.grants AS mends_grants,
           f.class = 'trigger' AND f.state_now IS DISTINCT FROM f.state AS mends_trigger,
           f.class = 'table' AND substring(f.state_now, 'subscriptions .*')
             IS DISTINCT FROM substring(f.state, 'subscriptions .*') AS mends_subscriptions
      FROM jsonb_to_recordset(v_found) AS f (class text, name text, oid oid, grants text, state text, grants_now text,
                                             state_now text)
  LOOP
    object_class := v_object.class;
    object_name := v_object.name;
    IF v_object.mends_grants THEN
      PERFORM iu.fn_iu_grants_repair(v_object.class, v_object.oid, v_object.grants);
      done := format('grants %s', coalesce(v_object.grants, 'none'));
      RETURN NEXT;
    END IF;
    IF v_object.mends_trigger THEN
      PERFORM iu.fn_iu_trigger_repair(v_object.oid, v_object.state);
      done := v_object.state;
      RETURN NEXT;
    END IF;
    IF v_object.mends_subscriptions THEN
      PERFORM iu.fn_iu_subscriptions_repair(v_object.oid);
      done := 'subscriptions left out';
      RETURN NEXT;
    END IF;
  END LOOP;
  RETURN QUERY SELECT * FROM iu.fn_iu_partitions_mend();
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_conformance_mend IS
  'For fn_iu_conformance_repair: puts grants and trigger states of governed objects right that belong to iu_core_owner '
  'and have the definition that they should have. One row for each.';

CREATE FUNCTION iu.fn_iu_conformance_repair(p_actor text, p_reason text)
  RETURNS TABLE (object_class text, object_name text, done text, left_over text)
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_wrong boolean := coalesce(btrim(p_actor), '') = '' OR coalesce(btrim(p_reason), '') = '';
BEGIN
  -- Somebody else whom it belongs to may not call the rule for texts, and is told so below.
  IF NOT v_wrong AND current_user = 'iu_core_owner' THEN
    v_wrong := iu_core.text_problem(p_actor, false) IS NOT NULL OR iu_core.text_problem(p_reason, true) IS NOT NULL;
  END IF;
  IF v_wrong THEN
    RAISE check_violation USING
      MESSAGE = 'actor and reason are required', CONSTRAINT = 'iu_actor_and_reason',
      HINT = 'Say who repairs the grants, and why.';
  END IF;
  IF current_user = 'iu_core_owner' AND to_regclass('public.iu_governed_object') IS NOT NULL THEN
    RETURN QUERY SELECT m.object_class, m.object_name, m.done, NULL::text FROM iu.fn_iu_conformance_mend() m;
    -- The ledger of commands is there from migration 002 on.
    IF to_regclass('public.dot_iu_command_run') IS NOT NULL THEN
      PERFORM iu.fn_dot_iu_command_write('dot_iu_conformance_repair', 'health', 'apply', 'applied', true, NULL, NULL,
        jsonb_build_object('reason', p_reason), p_actor);
    END IF;
  END IF;
  RETURN QUERY
    SELECT c.object_class, coalesce(c.expected, c.found), NULL::text,
           concat_ws(': ', c.detail, iu.fn_iu_conformance_advice(c.check_code, c.object_class, c.found, c.detail))
      FROM iu.fn_iu_conformance() c
     WHERE NOT c.ok AND c.check_code <> 'D9';
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
  'One row for each: done says what was put right. Then one row for each row of fn_iu_conformance that is still not '
  'ok: left_over says what differs, why it is left to people and what they do; it is so where the object is missing, '
  'belongs to another role or has another definition, since a right or a trigger on it would serve what nobody knows, '
  'and for settings, row security and what strangers planted. Logged as dot_iu_conformance_repair. SQLSTATE 42501 for '
  'whoever is not in iu_core_admin, 23514 without actor or reason.';
