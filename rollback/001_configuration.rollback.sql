-- Undoes 001. What migrations put into dot_config and the register is gone by
-- now, so a row left there is somebody's data.

DO $guard$
DECLARE
  v_left text;
BEGIN
  SELECT string_agg(DISTINCT g.migration::text, ', ') INTO v_left
    FROM public.iu_governed_object g WHERE g.migration <> 1;
  IF v_left IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: later migrations still have registered objects',
      DETAIL = format('Migrations: %s.', v_left);
  END IF;
END
$guard$;
SELECT iu_core.guard_rows('public.dot_config');

DROP VIEW public.v_iu_conformance;
DROP FUNCTION public.fn_iu_conformance_require(integer);
DROP FUNCTION public.fn_iu_conformance();
DROP FUNCTION public.fn_iu_ungovern(integer, text, text[]);
DROP FUNCTION public.fn_iu_ungovern(integer);
DROP FUNCTION public.fn_iu_govern(integer, text, text[]);
DROP TABLE public.iu_governed_object;
DROP TABLE public.dot_config;
DROP FUNCTION public.fn_dot_config_touch();

DO $check$
DECLARE
  v_left text;
BEGIN
  SELECT string_agg(i.object_name, ', ') INTO v_left
    FROM iu_core.object_names() i
   WHERE i.object_name IN ('dot_config', 'iu_governed_object', 'v_iu_conformance', 'fn_dot_config_touch()',
                           'fn_iu_govern(integer,text,text[])', 'fn_iu_ungovern(integer)',
                           'fn_iu_ungovern(integer,text,text[])', 'fn_iu_conformance()',
                           'fn_iu_conformance_require(integer)');
  IF v_left IS NOT NULL THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback of migration 1 is incomplete',
      DETAIL = format('Still there: %s.', v_left);
  END IF;
END
$check$;
