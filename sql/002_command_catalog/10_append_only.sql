-- 002: the catalogue of commands and the ledger of their runs.
--
-- A command is wrapped, not dispatched: a catalogue row says what it is, the
-- caller calls its target function and logs the run. The ledger is ungated, so
-- that a refusal can be recorded while every gate is shut.

CREATE FUNCTION iu.fn_iu_append_only() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  -- What a subscription would do is left out by triggers of its own, and must not stop it.
  IF TG_OP = 'TRUNCATE' AND iu_core.is_replicated() THEN
    RETURN NULL;
  END IF;
  RAISE insufficient_privilege USING
    MESSAGE = format('table "%s" is append-only', TG_TABLE_NAME),
    DETAIL = format('%s is refused, whoever asks for it.', TG_OP), CONSTRAINT = 'iu_append_only';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_append_only IS
  'Statement trigger of a ledger: refuses UPDATE, DELETE and TRUNCATE with SQLSTATE 42501. A TRUNCATE that a '
  'subscription brings is left out by triggers of its own (fn_iu_leave_out_subscriptions).';
