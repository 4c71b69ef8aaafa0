-- A turn of an invariant as an event of domain system, which a route can carry: one
-- when it turns red, one when it passes again, and in between one where what could not
-- be read turns out to fail: that is another thing to know, and may be a worse one.
-- Of an invariant that is disabled or removed no check closes the issue, so that does.

CREATE TABLE public.iu_open_issue (
  invariant_code text        NOT NULL,
  verdict        text        NOT NULL,
  severity       text        NOT NULL,
  detail         text        NOT NULL,
  opened_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  opened_event   uuid,
  CONSTRAINT iu_open_issue_pkey PRIMARY KEY (invariant_code),
  CONSTRAINT iu_open_issue_invariant_fkey FOREIGN KEY (invariant_code)
    REFERENCES public.iu_invariant (invariant_code) ON DELETE CASCADE,
  CONSTRAINT iu_open_issue_verdict_chk CHECK (verdict IN ('fail', 'unknown')),
  CONSTRAINT iu_open_issue_severity_chk CHECK (severity IN ('warning', 'critical'))
);
COMMENT ON TABLE public.iu_open_issue IS
  'The invariants that are enabled, turned red and have not passed since, one row each. Written by their checks, and '
  'where one is disabled or removed.';
COMMENT ON COLUMN public.iu_open_issue.invariant_code IS 'The invariant';
COMMENT ON COLUMN public.iu_open_issue.verdict IS
  'fail; or unknown: it could not be read, and was not found to fail since';
COMMENT ON COLUMN public.iu_open_issue.severity IS 'That of the invariant; of one that could not be read warning';
COMMENT ON COLUMN public.iu_open_issue.detail IS 'What the check said, up to 1000 characters';
COMMENT ON COLUMN public.iu_open_issue.opened_at IS 'When, by the clock';
COMMENT ON COLUMN public.iu_open_issue.opened_event IS
  'The event system.issue_opened; NULL: none was written, since the master switch or the type was off';

-- As the emitters write an event, but for its severity, which is the issue's.
CREATE FUNCTION iu.fn_iu_issue_emit(
    p_event_type text, p_code text, p_severity text, p_correlation_id text, p_payload jsonb)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_id uuid;
BEGIN
  INSERT INTO public.event_outbox
      (event_domain, event_type, event_stream, delivery_lane, event_severity, event_subject_table, event_subject_ref,
       actor_ref, source_system, correlation_id, safe_payload)
    SELECT r.event_domain, r.event_type, r.event_stream, r.delivery_lane, coalesce(p_severity, r.default_severity),
           'iu_invariant', p_code, 'iu_core', 'iu_core', p_correlation_id, p_payload
      FROM public.event_type_registry r
     WHERE r.event_domain = 'system' AND r.event_type = p_event_type AND r.active AND iu.fn_iu_core_routes_enabled()
    RETURNING id INTO v_id;
  IF v_id IS NULL THEN
    PERFORM iu.fn_event_unheard('system', p_event_type);
  END IF;
  RETURN v_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_issue_emit IS
  'Writes an event about an invariant: type of domain system, its code, severity (NULL: that of the type), what it '
  'belongs to, payload. Returns its id; NULL: the master switch or the type is off. Errors: as the outbox refuses.';

CREATE FUNCTION iu.fn_iu_issue_close(p_code text, p_payload jsonb) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_issue public.iu_open_issue;
BEGIN
  DELETE FROM public.iu_open_issue o WHERE o.invariant_code = p_code RETURNING o.* INTO v_issue;
  IF FOUND THEN
    PERFORM iu.fn_iu_issue_emit('issue_resolved', p_code, NULL, coalesce(v_issue.opened_event::text, p_code),
      p_payload || jsonb_build_object('severity', v_issue.severity, 'opened_at', v_issue.opened_at,
                                      'opened_event', v_issue.opened_event));
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_issue_close IS
  'Closes the issue of an invariant and emits system.issue_resolved, where one is open: its code, the payload, to '
  'which severity, opened_at and opened_event of the issue are added. Errors: as fn_iu_issue_emit.';

CREATE FUNCTION iu.fn_iu_issue_turned(p_code text, p_verdict text, p_previous text, p_detail text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_invariant public.iu_invariant;
  v_issue     public.iu_open_issue;
  v_error     text;
  v_payload   jsonb;
BEGIN
  SELECT i.* INTO v_invariant FROM public.iu_invariant i WHERE i.invariant_code = p_code;
  SELECT r.error_code INTO v_error
    FROM public.iu_invariant_state s JOIN public.iu_invariant_run r ON r.run_seq = s.run_seq
   WHERE s.invariant_code = p_code;
  SELECT o.* INTO v_issue FROM public.iu_open_issue o WHERE o.invariant_code = p_code FOR UPDATE;
  v_payload := jsonb_build_object('invariant_code', p_code, 'meaning', v_invariant.meaning, 'verdict', p_verdict,
    'previous', p_previous, 'detail', left(p_detail, 1000));
  IF p_verdict = 'pass' THEN
    PERFORM iu.fn_iu_issue_close(p_code, v_payload);
  ELSIF v_invariant.enabled
        AND (p_verdict = 'fail' AND coalesce(v_issue.verdict = 'unknown', true)
             OR p_verdict = 'unknown' AND v_error IS NOT NULL AND v_issue.invariant_code IS NULL) THEN
    v_issue.severity := CASE p_verdict WHEN 'fail' THEN v_invariant.severity ELSE 'warning' END;
    INSERT INTO public.iu_open_issue (invariant_code, verdict, severity, detail, opened_event)
      VALUES (p_code, p_verdict, v_issue.severity, left(p_detail, 1000),
              iu.fn_iu_issue_emit('issue_opened', p_code, v_issue.severity, p_code,
                                  v_payload || jsonb_build_object('severity', v_issue.severity)))
      ON CONFLICT (invariant_code) DO UPDATE
        SET verdict = excluded.verdict, severity = excluded.severity, detail = excluded.detail,
            opened_event = excluded.opened_event;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_issue_turned IS
  'At the point fn_iu_invariant_turned: an invariant that fails, or cannot be read, opens an issue and emits '
  'system.issue_opened, once, and again where one that could not be read fails; one that passes closes its issue and '
  'emits system.issue_resolved; a difference that settles does neither, nor does one that is disabled. Arguments: '
  'code, verdict, the one before, detail.';

SELECT iu.fn_iu_hook_add(40, 'iu.fn_iu_invariant_turned(text,text,text,text)',
  'iu.fn_iu_issue_turned(text,text,text,text)');

CREATE FUNCTION iu.fn_iu_issue_unwatched() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_verdict text;
BEGIN
  -- A check that is under way opens its issue before this, or finds the invariant as it is after it.
  SELECT s.verdict INTO v_verdict FROM public.iu_invariant_state s
   WHERE s.invariant_code = OLD.invariant_code FOR UPDATE;
  PERFORM iu.fn_iu_issue_close(OLD.invariant_code, jsonb_build_object(
    'invariant_code', OLD.invariant_code, 'meaning', OLD.meaning, 'verdict', NULL, 'previous', v_verdict,
    'detail', format('the invariant was %s', CASE TG_OP WHEN 'DELETE' THEN 'removed' ELSE 'disabled' END)));
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_issue_unwatched IS
  'Trigger of iu_invariant: closes the issue of an invariant that is disabled or removed. Errors: as '
  'fn_iu_issue_emit.';

CREATE TRIGGER trg_iu_issue_disabled
  BEFORE UPDATE OF enabled ON public.iu_invariant
  FOR EACH ROW WHEN (OLD.enabled AND NOT NEW.enabled) EXECUTE FUNCTION iu.fn_iu_issue_unwatched();
COMMENT ON TRIGGER trg_iu_issue_disabled ON public.iu_invariant IS
  'Closes the issue of an invariant that is disabled: no check would.';
ALTER TABLE public.iu_invariant ENABLE ALWAYS TRIGGER trg_iu_issue_disabled;
CREATE TRIGGER trg_iu_issue_removed
  BEFORE DELETE ON public.iu_invariant
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_issue_unwatched();
ALTER TABLE public.iu_invariant ENABLE ALWAYS TRIGGER trg_iu_issue_removed;
COMMENT ON TRIGGER trg_iu_issue_removed ON public.iu_invariant IS
  'Closes the issue of an invariant that is removed: no check would.';
