-- Superseding: an enacted unit gives way to another one, or to none that is named.

-- Both units in the order of their addresses, so that two calls at once lock in one
-- order. The successor only has to stay in use until the commit.
CREATE FUNCTION iu.fn_iu_supersede_lock(
    p_canonical_address text, p_successor_address text,
    OUT p_unit public.information_unit, OUT p_successor public.information_unit)
  LANGUAGE plpgsql
AS $function$
BEGIN
  IF p_successor_address COLLATE "C" < p_canonical_address COLLATE "C" THEN
    SELECT s.* INTO p_successor FROM public.information_unit s
     WHERE s.canonical_address = p_successor_address AND s.deleted_at IS NULL FOR SHARE;
  END IF;
  SELECT u.* INTO p_unit FROM public.information_unit u
   WHERE u.canonical_address = p_canonical_address AND u.deleted_at IS NULL FOR NO KEY UPDATE;
  IF p_successor_address COLLATE "C" > p_canonical_address COLLATE "C" THEN
    SELECT s.* INTO p_successor FROM public.information_unit s
     WHERE s.canonical_address = p_successor_address AND s.deleted_at IS NULL FOR SHARE;
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_supersede_lock IS
  'For fn_iu_supersede, which pins its search_path: locks the unit, and its successor against changes: the two '
  'addresses. Returns both, each NULL where there is none or it is deleted.';

CREATE FUNCTION iu.fn_iu_successor_refusal(
    p_unit public.information_unit, p_successor public.information_unit, p_successor_address text)
  RETURNS jsonb
  LANGUAGE sql STABLE
RETURN CASE
  WHEN p_successor_address IS NULL THEN NULL
  WHEN p_successor_address = (p_unit).canonical_address
    THEN iu.fn_iu_answer('successor_is_itself', 'superseded_by_canonical_address',
           'A unit does not take its own place.', 'choose_another_unit')
  WHEN (p_successor).id IS NULL
    THEN iu.fn_iu_answer('successor_not_found', 'superseded_by_canonical_address',
           format('There is no unit %s, or it is deleted.', iu_core.text_shown(p_successor_address)), 'fn_iu_create')
  WHEN (p_successor).lifecycle_status NOT IN ('draft', 'enacted')
    THEN iu.fn_iu_answer('successor_not_found', 'superseded_by_canonical_address',
           format('Unit %s is %s, and takes no other''s place.', iu_core.text_shown(p_successor_address),
                  (p_successor).lifecycle_status), 'choose_another_unit') END;
COMMENT ON FUNCTION iu.fn_iu_successor_refusal IS
  'Why a unit does not take the place of another, or NULL: successor_is_itself, successor_not_found (none, deleted, or '
  'neither draft nor enacted). Arguments: the unit, the successor, the successor''s address as given.';

-- Superseded by another one than is named now is no replay.
CREATE FUNCTION iu.fn_iu_supersede_replay(p_plan jsonb, p_successor_address text) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_by jsonb;
BEGIN
  SELECT l.metadata INTO v_by FROM public.iu_lifecycle_log l WHERE l.log_id = (p_plan ->> 'log_id')::bigint;
  IF v_by ->> 'superseded_by_canonical_address' IS DISTINCT FROM p_successor_address THEN
    RETURN iu.fn_iu_leave_denied('supersede', 'superseded');
  END IF;
  RETURN p_plan || jsonb_strip_nulls(jsonb_build_object('superseded_by_unit_id', v_by -> 'superseded_by_unit_id',
    'superseded_by_canonical_address', v_by -> 'superseded_by_canonical_address'));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_supersede_replay IS
  'For fn_iu_supersede, which pins its search_path: what it answers of a unit that is superseded already: '
  'idempotent_replay with the successor, or fsm_denied where that is another one. Arguments: what fn_iu_leave_check '
  'answered, the successor''s address as given.';

CREATE FUNCTION iu.fn_iu_supersede(
    p_canonical_address text, p_actor text, p_review_decision_id uuid, p_superseded_by_canonical_address text,
    p_change_set_id uuid, p_reason text, p_tool_revision text, p_dry_run boolean)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_supersede'
AS $function$
DECLARE
  v_locked    record;
  v_unit      public.information_unit;
  v_successor public.information_unit;
  v_plan      jsonb;
  v_by        jsonb;
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed('fn_iu_supersede');
  IF p_superseded_by_canonical_address IS NOT NULL
     AND iu.fn_iu_address_problem(p_superseded_by_canonical_address) IS NOT NULL THEN
    RETURN coalesce(iu.fn_iu_act_check(p_canonical_address, p_actor, p_reason, p_tool_revision, p_dry_run),
      iu.fn_iu_invalid('superseded_by_canonical_address', p_superseded_by_canonical_address,
        iu.fn_iu_address_problem(p_superseded_by_canonical_address)));
  END IF;
  SELECT l.* INTO v_locked
    FROM iu.fn_iu_supersede_lock(p_canonical_address, p_superseded_by_canonical_address) AS l;
  v_unit := v_locked.p_unit;
  v_successor := v_locked.p_successor;
  v_plan := iu.fn_iu_leave_check(v_unit, 'supersede', p_canonical_address, p_actor, p_review_decision_id, p_reason,
    p_tool_revision, p_dry_run);
  IF v_plan ->> 'status' = 'idempotent_replay' THEN
    RETURN iu.fn_iu_supersede_replay(v_plan, p_superseded_by_canonical_address);
  ELSIF v_plan ->> 'status' <> 'would_supersede' THEN
    RETURN v_plan;
  END IF;
  v_plan := coalesce(
    iu.fn_iu_successor_refusal(v_unit, v_successor, p_superseded_by_canonical_address), v_plan);
  v_by := jsonb_strip_nulls(jsonb_build_object('superseded_by_unit_id', v_successor.id,
    'superseded_by_canonical_address', v_successor.canonical_address));
  IF v_plan ->> 'status' <> 'would_supersede' THEN
    RETURN v_plan;
  ELSIF p_dry_run THEN
    RETURN v_plan || v_by;
  END IF;
  RETURN iu.fn_iu_leave_write(v_unit, v_plan || v_by, 'supersede', p_actor, p_review_decision_id, p_change_set_id,
    p_reason, p_tool_revision, v_by);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_supersede IS
  'What public.fn_iu_supersede hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_supersede(
    p_canonical_address text, p_actor text, p_review_decision_id uuid,
    p_superseded_by_canonical_address text DEFAULT NULL, p_change_set_id uuid DEFAULT NULL,
    p_reason text DEFAULT NULL, p_tool_revision text DEFAULT NULL, p_dry_run boolean DEFAULT false)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_supersede(p_canonical_address, p_actor, p_review_decision_id, p_superseded_by_canonical_address,
                     p_change_set_id, p_reason, p_tool_revision, p_dry_run) END;
COMMENT ON FUNCTION public.fn_iu_supersede IS
  'Says that another unit has taken the place of an enacted one: address, who, the decision that allows it; address of '
  'the successor (a draft or an enacted unit; NULL: none is named), change set, reason, tool revision, whether only to '
  'look. The unit and the version that counts become superseded; a pending version stays pending for ever. Returns '
  '{status: superseded (would_supersede of a dry run), unit_id, from, to, superseded_by_unit_id, '
  'superseded_by_canonical_address, log_id}; idempotent_replay where it is superseded by that unit already. Refusals '
  '{status, field, guidance, next_action}, in this order: invalid_input (canonical_address, actor, reason, '
  'tool_revision, dry_run, superseded_by_canonical_address), those of fn_iu_review_decision_check, iu_not_found, '
  'fsm_denied with from, to, allowed, invariants_failed with checks, successor_is_itself, successor_not_found. '
  'SQLSTATE 25000: another isolation level than READ COMMITTED.';
