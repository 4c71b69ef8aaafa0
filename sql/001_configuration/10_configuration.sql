-- 001: configuration, and the register of every governed object.
--
-- dot_config holds what may be switched: gates, switches, allowlists, policy
-- keys. iu_governed_object holds what the migrations made, and how it was, so
-- that conformance can say what is missing, what differs and what came in
-- beside it.

CREATE TABLE public.dot_config (
  key         text NOT NULL,
  value       text NOT NULL,
  description text,
  updated_at  timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT dot_config_pkey PRIMARY KEY (key)
);
COMMENT ON TABLE public.dot_config IS
  'Configuration as rows: gates, switches, allowlists, policy keys. A gate''s value alone opens nothing: read '
  'iu_core.gate_is_open. A missing row reads as closed.';
COMMENT ON COLUMN public.dot_config.key IS 'Name of the setting, e.g. iu_core.delivery_enabled';
COMMENT ON COLUMN public.dot_config.value IS 'Its value as text; a gate or switch is on only if it is exactly true';
COMMENT ON COLUMN public.dot_config.description IS 'What it stops or steers';
COMMENT ON COLUMN public.dot_config.updated_at IS
  'Start of the transaction that changed the row last; kept by trg_dot_config_touch';

CREATE FUNCTION iu.fn_dot_config_touch() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_dot_config_touch IS
  'Row trigger of dot_config: sets updated_at whatever the statement says.';

CREATE TRIGGER trg_dot_config_touch
  BEFORE INSERT OR UPDATE ON public.dot_config
  FOR EACH ROW EXECUTE FUNCTION iu.fn_dot_config_touch();
ALTER TABLE public.dot_config ENABLE ALWAYS TRIGGER trg_dot_config_touch;
COMMENT ON TRIGGER trg_dot_config_touch ON public.dot_config IS 'Keeps updated_at.';
