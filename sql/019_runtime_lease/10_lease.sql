-- 019: the runtime lease, so that two drivers do not race on one gate.
--
-- A driver that works in several connections (opens a gate, works, closes it in
-- its "finally") takes a lease of an agreed name first: without it, the end of
-- one driver would close the gate in the middle of another's work. A lock of
-- the session does not do, since each statement may be a session of its own.
-- Who crashed is healed by the lease's time.

CREATE TABLE public.dot_iu_runtime_lease (
  lease_name   text NOT NULL,
  lease_holder text NOT NULL,
  lease_token  uuid NOT NULL,
  session_role name NOT NULL,
  ttl_seconds  integer NOT NULL,
  acquired_at  timestamptz NOT NULL,
  renewed_at   timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  session_oid  oid NOT NULL,
  acting_role  name NOT NULL,
  acting_oid   oid NOT NULL,
  CONSTRAINT dot_iu_runtime_lease_pkey PRIMARY KEY (lease_name),
  CONSTRAINT dot_iu_runtime_lease_name CHECK (btrim(lease_name) <> ''),
  CONSTRAINT dot_iu_runtime_lease_holder CHECK (btrim(lease_holder) <> ''),
  CONSTRAINT dot_iu_runtime_lease_ttl CHECK (ttl_seconds BETWEEN 1 AND 86400),
  CONSTRAINT dot_iu_runtime_lease_time CHECK (acquired_at <= renewed_at AND renewed_at < expires_at)
);
COMMENT ON TABLE public.dot_iu_runtime_lease IS
  'Which driver may run now: one row per lease name, written by the fn_dot_iu_runtime_lease_ functions. A row '
  'whose time is over holds nothing.';
COMMENT ON COLUMN public.dot_iu_runtime_lease.lease_name IS 'What drivers agreed on, e.g. the key of a gate';
COMMENT ON COLUMN public.dot_iu_runtime_lease.lease_holder IS
  'The driver, as it calls itself; each running driver needs a name of its own';
COMMENT ON COLUMN public.dot_iu_runtime_lease.lease_token IS
  'Who knows it may release the lease; a new one with each renewal';
COMMENT ON COLUMN public.dot_iu_runtime_lease.session_role IS 'The login role that took it, which the holder keeps';
COMMENT ON COLUMN public.dot_iu_runtime_lease.session_oid IS 'Its oid: a later role of the same name is another';
COMMENT ON COLUMN public.dot_iu_runtime_lease.acting_role IS
  'The role in whose name it was taken (iu_core.caller()), which the holder keeps too';
COMMENT ON COLUMN public.dot_iu_runtime_lease.acting_oid IS 'Its oid';
COMMENT ON COLUMN public.dot_iu_runtime_lease.ttl_seconds IS
  'How long it lasts from renewed_at, in seconds, 1 to 86400';
COMMENT ON COLUMN public.dot_iu_runtime_lease.acquired_at IS 'Since when this holder has it, by iu_core.steady_clock()';
COMMENT ON COLUMN public.dot_iu_runtime_lease.renewed_at IS
  'When it was acquired or renewed last, by iu_core.steady_clock()';
COMMENT ON COLUMN public.dot_iu_runtime_lease.expires_at IS
  'From then on, by iu_core.steady_clock(), anybody may take it';

CREATE VIEW public.v_dot_iu_runtime_lease AS
  SELECT l.lease_name, l.lease_holder, l.session_role, m.acquired_at, m.renewed_at, m.expires_at,
         l.expires_at > iu_core.steady_clock() AS held
    FROM public.dot_iu_runtime_lease l
    CROSS JOIN LATERAL (SELECT l.acquired_at + c.moved AS acquired_at, l.renewed_at + c.moved AS renewed_at,
                               l.expires_at + c.moved AS expires_at
                          FROM iu_core.clock_moved() AS c (moved)) AS m;
COMMENT ON VIEW public.v_dot_iu_runtime_lease IS
  'The runtime leases without their tokens: name, holder, its login role, since when, last renewal, end, and '
  'whether it is held now.';

CREATE FUNCTION iu.fn_dot_iu_runtime_lease_acquire(p_lease_name text, p_lease_holder text, p_ttl_seconds integer)
  RETURNS uuid
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_caller     CONSTANT oid := iu.fn_iu_require_caller();
  v_token      uuid;
  v_expires_at timestamptz;
BEGIN
  PERFORM iu.fn_iu_require_text('iu_lease_name', 'p_lease_name', 'a name that drivers agreed on', p_lease_name, false);
  PERFORM iu.fn_iu_require_text('iu_lease_holder', 'p_lease_holder', 'the name of the driver that takes the lease',
    p_lease_holder, false);
  PERFORM iu.fn_iu_require_value(p_ttl_seconds BETWEEN 1 AND 86400, 'iu_lease_ttl', 'ttl_seconds', 'from 1 to 86400',
    p_ttl_seconds::text);

  -- A clock that was set back before the server started lets no lease last longer from now than it was taken for.
  UPDATE public.dot_iu_runtime_lease l
     SET acquired_at = least(l.acquired_at, c.t), renewed_at = c.t,
         expires_at = c.t + make_interval(secs => l.ttl_seconds)
    FROM (SELECT iu_core.steady_clock() AS t OFFSET 0) c
   WHERE l.lease_name = p_lease_name AND l.expires_at > c.t + make_interval(secs => l.ttl_seconds);

  -- Whether the lease of somebody else has ended is asked once its row is
  -- locked. Waiting for that may have taken longer than the new lease lasts: then
  -- it is taken once more.
  LOOP
    INSERT INTO public.dot_iu_runtime_lease AS l
        (lease_name, lease_holder, lease_token, session_role, session_oid, acting_role, acting_oid, ttl_seconds,
         acquired_at, renewed_at, expires_at)
      SELECT p_lease_name, p_lease_holder, gen_random_uuid(), session_user, iu_core.login(),
             pg_get_userbyid(v_caller), v_caller, p_ttl_seconds,
             c.t, c.t, c.t + make_interval(secs => p_ttl_seconds)
        FROM (SELECT iu_core.steady_clock() AS t OFFSET 0) c
    ON CONFLICT (lease_name) DO UPDATE
       SET lease_holder = excluded.lease_holder,
           lease_token = excluded.lease_token,
           session_role = excluded.session_role,
           session_oid = excluded.session_oid,
           acting_role = excluded.acting_role,
           acting_oid = excluded.acting_oid,
           ttl_seconds = excluded.ttl_seconds,
           acquired_at = CASE WHEN l.expires_at > iu_core.steady_clock() THEN least(l.acquired_at, excluded.renewed_at)
                              ELSE excluded.renewed_at END,
           renewed_at = excluded.renewed_at,
           expires_at = excluded.expires_at
     WHERE l.expires_at <= iu_core.steady_clock()
        OR (l.lease_holder = excluded.lease_holder AND l.session_oid = excluded.session_oid
            AND l.acting_oid = excluded.acting_oid)
    RETURNING l.lease_token, l.expires_at INTO v_token, v_expires_at;
    EXIT WHEN v_token IS NULL OR v_expires_at > iu_core.steady_clock();
  END LOOP;
  RETURN v_token;
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_iu_runtime_lease_acquire IS
  'What public.fn_dot_iu_runtime_lease_acquire hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_dot_iu_runtime_lease_acquire(p_lease_name text, p_lease_holder text, p_ttl_seconds integer)
  RETURNS uuid
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_operator}') THEN
  iu.fn_dot_iu_runtime_lease_acquire(p_lease_name, p_lease_holder, p_ttl_seconds) END;
COMMENT ON FUNCTION public.fn_dot_iu_runtime_lease_acquire IS
  'Takes a lease, or renews it for its holder (the same name, role and login): lease name, holder, seconds (1 to '
  '86400). Returns the token, or NULL: somebody else holds it, do not run. A renewal gives a new token and ends '
  'the old one. Commit before the work begins: until then others wait for the answer. Errors: 23514 name, holder '
  'or seconds missing or out of range; 40001 in a transaction whose snapshot is too old.';

CREATE FUNCTION iu.fn_dot_iu_runtime_lease_release(p_lease_name text, p_lease_holder text, p_lease_token uuid)
  RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  DELETE FROM public.dot_iu_runtime_lease l
   WHERE l.lease_name = p_lease_name AND l.lease_holder = p_lease_holder AND l.lease_token = p_lease_token;
  RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_iu_runtime_lease_release IS
  'What public.fn_dot_iu_runtime_lease_release hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_dot_iu_runtime_lease_release(p_lease_name text, p_lease_holder text, p_lease_token uuid)
  RETURNS boolean
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_operator}') THEN
  iu.fn_dot_iu_runtime_lease_release(p_lease_name, p_lease_holder, p_lease_token) END;
COMMENT ON FUNCTION public.fn_dot_iu_runtime_lease_release IS
  'Gives a lease back: name, holder, token. Returns whether it was this holder''s with this token; otherwise '
  'nothing changes, as when it ended and somebody else has it. Raises nothing of its own.';

CREATE FUNCTION iu.fn_dot_iu_runtime_lease_end(p_lease_name text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_lease  public.dot_iu_runtime_lease;
  v_run_id uuid;
BEGIN
  SELECT l.* INTO v_lease FROM public.dot_iu_runtime_lease l WHERE l.lease_name = p_lease_name FOR UPDATE;
  IF NOT FOUND THEN
    RAISE undefined_object USING
      MESSAGE = format('there is no lease %s', iu_core.text_shown(p_lease_name)),
      DETAIL = format('Lease: %s.', iu_core.text_shown(p_lease_name)),
      HINT = 'v_dot_iu_runtime_lease has the leases.', CONSTRAINT = 'iu_lease_unknown';
  END IF;
  v_run_id := iu.fn_dot_iu_command_note('dot_iu_runtime_lease_end', 'lease_name', p_lease_name, 'applied', p_actor,
    p_reason, jsonb_build_object('holder', v_lease.lease_holder, 'session_role', v_lease.session_role,
      'expires_at', v_lease.expires_at, 'session_user', session_user));
  DELETE FROM public.dot_iu_runtime_lease l WHERE l.lease_name = p_lease_name;
  PERFORM iu.fn_iu_require_effect(
    NOT EXISTS (SELECT FROM public.dot_iu_runtime_lease l WHERE l.lease_name = p_lease_name),
    'public.dot_iu_runtime_lease', 'ending the lease');
  RETURN jsonb_build_object('status', 'ended', 'lease_name', p_lease_name, 'holder', v_lease.lease_holder,
    'session_role', v_lease.session_role, 'held', v_lease.expires_at > clock_timestamp(), 'run_id', v_run_id);
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_iu_runtime_lease_end IS
  'What public.fn_dot_iu_runtime_lease_end hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_dot_iu_runtime_lease_end(p_lease_name text, p_actor text, p_reason text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_dot_iu_runtime_lease_end(p_lease_name, p_actor, p_reason) END;
COMMENT ON FUNCTION public.fn_dot_iu_runtime_lease_end IS
  'Ends somebody else''s lease, for an operator, and logs it: lease name, who, why. The token of its holder is good '
  'for nothing from then on, and anybody may take the lease; what the holder is doing goes on, so make sure that it '
  'is not running. Returns {status: ended, lease_name, holder, session_role, held: whether its time was not over, '
  'run_id}. SQLSTATE 42704: no such lease; 23514: actor or reason missing.';
