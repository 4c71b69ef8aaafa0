-- The places in which this database has been: which server, database, instance,
-- timeline (iu_core.place()). What was opened, approved or armed in another one
-- means nothing here. A promotion carries it over; after a restore, in a copy and
-- after pg_upgrade a person does, with fn_iu_place_confirm.

CREATE TABLE public.iu_place (
  place_seq         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  place             uuid        NOT NULL,
  began             text        NOT NULL,
  detail            text        NOT NULL,
  instance          text,
  system_identifier bigint      NOT NULL,
  database_oid      oid         NOT NULL,
  timeline          integer     NOT NULL,
  seen_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  written_in        oid         NOT NULL,
  confirmed_at      timestamptz,
  confirmed_by      text,
  confirmed_reason  text,
  session_role      name,
  CONSTRAINT iu_place_began CHECK (began IN ('first', 'promotion', 'restore', 'upgrade', 'copy')),
  CONSTRAINT iu_place_confirmed CHECK (
    num_nulls(confirmed_at, confirmed_by, confirmed_reason, session_role) IN (0, 4))
);
COMMENT ON TABLE public.iu_place IS
  'The places in which this database has been, in the order in which they were seen. It is at home in the last one '
  'that was confirmed; where that is not iu_core.place(), nothing is sent and no standing approval is renewed.';
COMMENT ON COLUMN public.iu_place.place_seq IS 'Order of seeing';
COMMENT ON COLUMN public.iu_place.place IS 'What iu_core.place() is there';
COMMENT ON COLUMN public.iu_place.began IS
  'first: nothing was known before; promotion: a standby became the primary; restore: it was restored from a backup, '
  'or recovered to a target, or nothing tells; upgrade: the same files under another system identifier (pg_upgrade); '
  'copy: another server, database or instance';
COMMENT ON COLUMN public.iu_place.detail IS 'The same in words';
COMMENT ON COLUMN public.iu_place.instance IS 'SHA-256 of iu_core.instance, in hex; NULL: none was given';
COMMENT ON COLUMN public.iu_place.system_identifier IS 'Of the cluster';
COMMENT ON COLUMN public.iu_place.database_oid IS 'Of the database in it';
COMMENT ON COLUMN public.iu_place.timeline IS 'Of the cluster';
COMMENT ON COLUMN public.iu_place.seen_at IS 'When it was seen first, by the clock';
COMMENT ON COLUMN public.iu_place.written_in IS
  'The oid of this table: the same in a copy of the files, another one where a dump was restored';
COMMENT ON COLUMN public.iu_place.confirmed_at IS 'When the database was said to be at home there; NULL: never';
COMMENT ON COLUMN public.iu_place.confirmed_by IS
  'Who said it: a person as told by the caller, or the watchdog, of the first place and after a promotion';
COMMENT ON COLUMN public.iu_place.confirmed_reason IS 'Why';
COMMENT ON COLUMN public.iu_place.session_role IS 'Login role of who said it';

CREATE FUNCTION iu.fn_iu_place_home() RETURNS public.iu_place
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT p FROM public.iu_place p WHERE p.confirmed_at IS NOT NULL ORDER BY p.place_seq DESC LIMIT 1
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_home IS
  'Where the database is at home: the place that was confirmed last. NULL where no watchdog has looked yet. Raises '
  'nothing.';

-- Asked before each send: in plpgsql, which keeps its plan.
CREATE FUNCTION iu.fn_iu_place_is_home() RETURNS boolean
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN coalesce((SELECT p.place = iu_core.place() AND p.tableoid = p.written_in FROM public.iu_place p
                    WHERE p.confirmed_at IS NOT NULL ORDER BY p.place_seq DESC LIMIT 1),
                  iu_core.place() IS NOT NULL AND NOT EXISTS (SELECT FROM public.iu_place));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_is_home IS
  'Whether the database is at home where it is now: in the place that was confirmed last, and not restored from a dump '
  'since. True as well where no watchdog has looked yet; false while the server recovers. Raises nothing.';

CREATE FUNCTION iu.fn_iu_place_is_noted() RETURNS boolean
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce((SELECT p.place = iu_core.place() AND p.tableoid = p.written_in FROM public.iu_place p
                    ORDER BY p.place_seq DESC LIMIT 1), false)
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_is_noted IS
  'Whether the last place that was seen is this one, and no dump was restored since. Raises nothing.';

-- What lasts: rows that mean something only in the place that stands in them. The
-- tables come with later migrations.
CREATE FUNCTION iu.fn_iu_place_tables() RETURNS SETOF text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT t FROM unnest(ARRAY['iu_gate_approval', 'iu_route_position', 'iu_route_worker_cursor',
                             'iu_invariant_state']) AS t
   WHERE to_regclass('public.' || t) IS NOT NULL
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_tables IS
  'The tables of schema public with a column place that are there: approvals, positions of routes, cursors, states of '
  'invariants. Raises nothing.';

CREATE FUNCTION iu.fn_iu_place_carry(p_from uuid, p_to uuid) RETURNS bigint
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_table text;
  v_rows  bigint;
  v_all   bigint := 0;
BEGIN
  FOR v_table IN SELECT t FROM iu.fn_iu_place_tables() t LOOP
    EXECUTE format('UPDATE public.%I SET place = $2 WHERE place = $1', v_table) USING p_from, p_to;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_all := v_all + v_rows;
  END LOOP;
  PERFORM iu_core.wake();
  RETURN v_all;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_carry IS
  'Lets what was made in a place go on in another one: approvals, positions, cursors, states of invariants; openings '
  'of gates do not. Arguments: both places. Returns how many rows. Raises nothing.';

CREATE FUNCTION iu.fn_iu_place_holds_foreign() RETURNS boolean
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_table text;
  v_found boolean;
BEGIN
  FOR v_table IN SELECT t FROM iu.fn_iu_place_tables() t LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE place <> iu_core.place())', v_table) INTO v_found;
    IF v_found THEN
      RETURN true;
    END IF;
  END LOOP;
  RETURN false;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_holds_foreign IS
  'Whether there is an approval, position, cursor or check that was made in another place. Raises nothing.';

CREATE FUNCTION iu.fn_iu_place_kind(OUT began text, OUT detail text)
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_here record;
  v_home public.iu_place;
  v_same boolean;
  v_line text;
BEGIN
  SELECT f.* INTO v_here FROM iu_core.place_facts() f;
  SELECT h.* INTO v_home FROM iu.fn_iu_place_home() h;
  -- The row itself tells whether it came with the files or with a dump.
  v_same := EXISTS (SELECT FROM public.iu_place p
                     WHERE p.place_seq = v_home.place_seq AND p.tableoid = p.written_in);
  v_line := CASE WHEN v_here.parent_timeline IS NOT NULL
    THEN format('timeline %s, after %s at %s (%s)', v_here.timeline, v_here.parent_timeline, v_here.began_at,
                v_here.reason)
    ELSE format('timeline %s', v_here.timeline) END;
  IF v_home.place_seq IS NULL AND NOT iu.fn_iu_place_holds_foreign() THEN
    began := 'first';
    detail := v_line;
  ELSIF v_home.place_seq IS NULL OR NOT v_same THEN
    began := 'copy';
    detail := 'it was restored from a dump';
  ELSIF v_here.instance IS NULL AND v_home.instance IS NOT NULL THEN
    began := 'copy';
    detail := v_here.instance_trouble;
  ELSIF v_home.instance IS NULL AND v_here.instance IS NOT NULL THEN
    began := 'copy';
    detail := format('iu_core.instance is given now (by %s), and was not before', v_here.instance_given_by);
  ELSIF v_here.instance IS DISTINCT FROM v_home.instance THEN
    began := 'copy';
    detail := format('iu_core.instance is another than at home (given by %s)', v_here.instance_given_by);
  ELSIF v_here.database_oid <> v_home.database_oid THEN
    began := 'copy';
    detail := 'it was copied from another database of a server (CREATE DATABASE ... TEMPLATE)';
  ELSIF v_here.system_identifier <> v_home.system_identifier THEN
    began := CASE WHEN v_here.instance IS NULL THEN 'copy' ELSE 'upgrade' END;
    detail := 'the same files have another system identifier, as after pg_upgrade';
  ELSIF v_here.began = 'promotion' AND v_here.parent_timeline = v_home.timeline AND v_here.instance IS NOT NULL THEN
    began := 'promotion';
    detail := 'a standby was promoted: ' || v_line;
  ELSE
    began := 'restore';
    detail := 'it was restored: ' || v_line;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_kind IS
  'How the place in which the database is now began, seen from where it is at home: one of the words of '
  'iu_place.began, and in words. What nothing tells is a restore. Raises nothing.';

CREATE FUNCTION iu.fn_iu_place_trouble() RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_last public.iu_place;
BEGIN
  IF iu_core.place() IS NULL OR iu.fn_iu_place_is_home() THEN
    RETURN NULL;
  END IF;
  SELECT p.* INTO v_last FROM public.iu_place p ORDER BY p.place_seq DESC LIMIT 1;
  RETURN CASE v_last.began
           WHEN 'copy' THEN format('this is a copy: %s', v_last.detail)
           WHEN 'upgrade' THEN v_last.detail
           ELSE v_last.detail || '; what was done after that point is lost, closings and revocations too: compare the '
             'heads of the ledger with those in the server log (fn_iu_gate_ledger_verify)' END
         || '. Gates that were open read closed, nothing is sent, no approval from before is valid. If the platform '
            'is at home here and nowhere else: SELECT fn_iu_place_confirm(session_user, ''reason'')';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_trouble IS
  'Where the database is not at home: why, and what to do, in words; NULL where it is. Raises nothing.';

CREATE FUNCTION iu.fn_iu_place_begin(p_actor text) RETURNS text
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_home public.iu_place;
  v_kind record;
  v_ours boolean;
BEGIN
  PERFORM iu.fn_iu_require_actor(p_actor, 'looks where the database is');
  -- While a dump is being restored, which makes the keys last, the table may not have its rows yet.
  IF iu_core.place() IS NULL OR (iu.fn_iu_place_is_home() AND EXISTS (SELECT FROM public.iu_place))
     OR NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = to_regclass('public.iu_place') AND c.contype = 'p')
  THEN
    RETURN NULL;
  END IF;
  IF NOT iu.fn_iu_place_is_noted() THEN
    LOCK TABLE public.iu_place IN SHARE ROW EXCLUSIVE MODE;
  END IF;
  SELECT h.* INTO v_home FROM iu.fn_iu_place_home() h;
  IF NOT iu.fn_iu_place_is_noted() THEN
    SELECT k.* INTO v_kind FROM iu.fn_iu_place_kind() k;
    v_ours := v_kind.began IN ('first', 'promotion');
    INSERT INTO public.iu_place AS p
        (place, began, detail, instance, system_identifier, database_oid, timeline, written_in,
         confirmed_at, confirmed_by, confirmed_reason, session_role)
      SELECT f.place, v_kind.began, v_kind.detail, f.instance, f.system_identifier, f.database_oid, f.timeline,
             'public.iu_place'::regclass::oid,
             CASE WHEN v_ours THEN clock_timestamp() END, CASE WHEN v_ours THEN p_actor END,
             CASE WHEN v_ours THEN v_kind.began END, CASE WHEN v_ours THEN session_user END
        FROM iu_core.place_facts() f;
    IF v_kind.began = 'promotion' THEN
      PERFORM iu.fn_iu_place_carry(v_home.place, iu_core.place());
    ELSIF v_kind.began <> 'first' THEN
      -- A dump that was restored over its own database has rows of this very place.
      PERFORM iu.fn_iu_place_carry(iu_core.place(), '00000000-0000-0000-0000-000000000000');
    END IF;
  END IF;
  RETURN iu.fn_iu_place_trouble();
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_begin IS
  'For the watchdog, when it starts: notes a place that is new, and lets what was approved and armed go on where a '
  'standby was promoted. Argument: who. Returns what a person has to do, in words; NULL: nothing. Error: 23514 no '
  'actor.';

-- Approvals and routes come with later migrations, which bring these functions.
CREATE FUNCTION iu.fn_iu_place_confirm_all(
    p_upgraded uuid, p_approvals uuid[], p_deliveries text, p_actor text, p_reason text)
  RETURNS jsonb
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_carried   bigint := 0;
  v_approvals bigint := 0;
  v_routes    jsonb := '[]';
BEGIN
  IF p_upgraded IS NOT NULL THEN
    v_carried := iu.fn_iu_place_carry(p_upgraded, iu_core.place());
  END IF;
  IF p_approvals <> '{}' AND to_regprocedure('iu.fn_iu_gate_approvals_confirm(uuid[],text)') IS NOT NULL THEN
    v_approvals := iu.fn_iu_gate_approvals_confirm(p_approvals, p_actor);
  END IF;
  IF p_deliveries <> 'hold' AND to_regprocedure('iu.fn_iu_routes_confirm(text,text,text)') IS NOT NULL THEN
    v_routes := iu.fn_iu_routes_confirm(p_deliveries, p_actor, p_reason);
  END IF;
  RETURN jsonb_build_object('carried', v_carried, 'approvals', v_approvals, 'routes', v_routes);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_confirm_all IS
  'For fn_iu_place_confirm: lets go on what a person says: a place from which everything is carried over (NULL: none), '
  'approvals, deliveries (hold, send or leave), who, why. Returns {carried, approvals, routes}. Errors: those of '
  'fn_iu_gate_approvals_confirm and fn_iu_routes_confirm.';

CREATE FUNCTION iu.fn_iu_place_confirm(p_actor text, p_reason text, p_approvals uuid[], p_deliveries text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET jit = off SET max_parallel_workers_per_gather = 0 SET plan_cache_mode = auto
  SET enable_nestloop = on SET enable_indexscan = on
AS $function$
DECLARE
  v_home public.iu_place;
  v_last public.iu_place;
  v_was  boolean;
  v_done jsonb;
BEGIN
  PERFORM iu.fn_iu_require_reason(p_actor, p_reason);
  PERFORM iu.fn_iu_require_value(p_deliveries IN ('hold', 'send', 'leave'), 'iu_place_deliveries', 'deliveries',
    'hold, send or leave', p_deliveries);
  PERFORM iu.fn_iu_require_read_committed('fn_iu_place_confirm', 'would not see what the watchdog has noted');
  LOCK TABLE public.iu_place IN SHARE ROW EXCLUSIVE MODE;
  PERFORM iu.fn_iu_place_begin(p_actor);
  SELECT h.* INTO v_home FROM iu.fn_iu_place_home() h;
  SELECT p.* INTO v_last FROM public.iu_place p ORDER BY p.place_seq DESC LIMIT 1;
  v_was := iu.fn_iu_place_is_home();
  IF v_was AND coalesce(p_approvals, '{}') = '{}' AND p_deliveries = 'hold' THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'the database is at home here',
      DETAIL = format('Confirmed at %s by %s.', v_home.confirmed_at, v_home.confirmed_by),
      HINT = 'There is nothing to confirm.', CONSTRAINT = 'iu_place_is_home';
  END IF;
  IF NOT v_was THEN
    UPDATE public.iu_place
       SET confirmed_at = clock_timestamp(), confirmed_by = p_actor, confirmed_reason = p_reason,
           session_role = session_user
     WHERE place_seq = v_last.place_seq;
  END IF;
  v_done := iu.fn_iu_place_confirm_all(CASE WHEN NOT v_was AND v_last.began = 'upgrade' THEN v_home.place END,
    coalesce(p_approvals, '{}'), p_deliveries, p_actor, p_reason);
  PERFORM iu_core.wake();
  RETURN jsonb_build_object('status', 'confirmed', 'began', v_last.began, 'detail', v_last.detail) || v_done
    || jsonb_build_object('run_id', iu.fn_dot_iu_command_note('dot_iu_place_confirm', 'place', v_last.place::text,
         'applied', p_actor, p_reason, v_done || jsonb_build_object('began', v_last.began, 'detail', v_last.detail,
           'confirmed_approvals',
           (SELECT jsonb_agg(iu.fn_iu_gate_approval_mark(a.id)) FROM unnest(p_approvals) AS a (id)),
           'deliveries', p_deliveries, 'session_user', session_user)));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_place_confirm IS
  'What public.fn_iu_place_confirm hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_place_confirm(
    p_actor text, p_reason text, p_approvals uuid[] DEFAULT NULL, p_deliveries text DEFAULT 'hold')
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_operator}') THEN
  iu.fn_iu_place_confirm(p_actor, p_reason, p_approvals, p_deliveries) END;
COMMENT ON FUNCTION public.fn_iu_place_confirm IS
  'Says that the platform is at home in this place and nowhere else, where iu_core.health() says that it is not: '
  'after a restore, in a copy, after pg_upgrade. Arguments: who, why; the approvals from before that go on, each '
  'after a look whether it was revoked since (NULL: none; after pg_upgrade, where nothing is lost, everything goes on '
  'anyhow); and what becomes of the deliveries of routes that were armed before: hold (until '
  'fn_iu_route_confirm_position of each), send (what is not known to have been attempted; some may arrive a second '
  'time, under the same webhook-id), leave (as dead letters, from which each can be replayed). A standing approval '
  'that goes on opens its gate again, unless a person had closed that. Returns {status: confirmed, began, detail, '
  'carried, approvals, routes, run_id}. Called again with approvals or deliveries it lets those go on. Errors: 23514 '
  'actor, reason or deliveries, 55000 nothing to confirm, IU101 or IU107 an approval that is not there, or that the '
  'login role may not approve; 25000 outside of READ COMMITTED; those of fn_iu_route_confirm_position.';
