-- Undoes 005. Refuses while the route worker is on, migration 006 stands on
-- this one, the allowlist names a route, or routes or secrets would be lost.
DO $guard$
BEGIN
  IF to_regclass('public.iu_route_position') IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = 'rollback refused: migration 006 stands on 005',
      HINT = 'Roll 006 back first.', CONSTRAINT = 'iu_rollback_order';
  ELSIF EXISTS (SELECT FROM public.dot_config WHERE key = 'iu_core.route_worker_enabled' AND value = 'true') THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: switch iu_core.route_worker_enabled is on',
      HINT = 'Switch it off with fn_iu_switch_set.', CONSTRAINT = 'iu_rollback_switch_on';
  ELSIF EXISTS (SELECT FROM public.dot_config
                 WHERE key = 'iu_core.delivery_live_routes' AND btrim(value, ' ,') <> '') THEN
    RAISE object_in_use USING
      MESSAGE = 'rollback refused: the allowlist iu_core.delivery_live_routes is not empty',
      HINT = 'Empty it with fn_iu_route_disallow.', CONSTRAINT = 'iu_rollback_allowlist';
  END IF;
END
$guard$;

SELECT iu_core.guard_rows('public.iu_outbound_route');
SELECT iu_core.guard_rows('public.iu_route_secret');
SELECT iu_core.guard_rows('public.iu_route_credential');
SELECT iu.fn_dot_iu_command_forget(ARRAY['dot_iu_route_add', 'dot_iu_route_allow',
  'dot_iu_route_disallow', 'dot_iu_route_pause', 'dot_iu_route_resume', 'dot_iu_route_retire',
  'dot_iu_route_key_add', 'dot_iu_route_credential_put', 'dot_iu_route_credential_end', 'dot_iu_route_secret_add',
  'dot_iu_route_secret_end', 'dot_iu_route_set']);

DELETE FROM public.iu_refusal WHERE migration = 5;

DROP FUNCTION public.fn_iu_route_retire;
DROP FUNCTION iu.fn_iu_route_retire;
DROP FUNCTION public.fn_iu_route_resume;
DROP FUNCTION iu.fn_iu_route_resume;
DROP FUNCTION public.fn_iu_route_pause;
DROP FUNCTION iu.fn_iu_route_pause;
DROP FUNCTION public.fn_iu_route_disallow;
DROP FUNCTION iu.fn_iu_route_disallow;
DROP FUNCTION public.fn_iu_route_allow;
DROP FUNCTION iu.fn_iu_route_allow;
DROP FUNCTION iu.fn_iu_route_allowlist_set;
DROP FUNCTION public.fn_iu_route_set;
DROP FUNCTION iu.fn_iu_route_set;
DROP FUNCTION public.fn_iu_route_add;
DROP FUNCTION iu.fn_iu_route_add;
DROP FUNCTION public.fn_iu_route_public_keys;
DROP FUNCTION iu.fn_iu_route_public_keys;
DROP FUNCTION public.fn_iu_route_key_add;
DROP FUNCTION iu.fn_iu_route_key_add;
DROP FUNCTION public.fn_iu_route_secret_end;
DROP FUNCTION iu.fn_iu_route_secret_end;
DROP FUNCTION public.fn_iu_route_secret_add;
DROP FUNCTION iu.fn_iu_route_secret_add;
DROP FUNCTION iu.fn_iu_route_secret_is_valid;
DROP FUNCTION iu.fn_iu_route_filter_try;
DROP FUNCTION iu.fn_iu_route_live_check;
DROP FUNCTION iu.fn_iu_route_certificates_check;
DROP FUNCTION iu.fn_iu_route_credentials_check;
DROP FUNCTION public.fn_iu_route_credential_end;
DROP FUNCTION iu.fn_iu_route_credential_end;
DROP FUNCTION public.fn_iu_route_credential_put;
DROP FUNCTION iu.fn_iu_route_credential_put;
DROP FUNCTION iu.fn_iu_route_header_lines;
DROP FUNCTION iu.fn_iu_route_credential_problem;
DROP FUNCTION iu.fn_iu_route_header_credentials;
DROP FUNCTION iu.fn_iu_route_check;
DROP FUNCTION iu.fn_iu_route_not_there;
DROP TABLE public.iu_route_secret;
DROP TABLE public.iu_route_credential;
DROP TRIGGER trg_iu_route_type_join ON public.event_type_registry;
DROP TRIGGER trg_iu_route_type_leave ON public.event_type_registry;
DROP FUNCTION iu.fn_iu_route_type_follow;
DROP FUNCTION iu.fn_iu_route_carries;
DROP TABLE public.iu_route_type;
DROP TABLE public.iu_outbound_route;
DROP FUNCTION iu.fn_iu_route_stream;
DROP FUNCTION iu.fn_iu_route_type_problem;
DROP FUNCTION iu.fn_iu_route_types;
DROP FUNCTION iu.fn_iu_route_type_matches;
DROP FUNCTION iu.fn_iu_route_type_words;
DROP FUNCTION iu.fn_iu_outbound_route_delivery_guard;
DROP FUNCTION iu.fn_iu_route_headers_problem;
DROP FUNCTION iu.fn_iu_route_certificate_problem;
DROP FUNCTION iu.fn_iu_route_header_problem;
DROP FUNCTION iu.fn_iu_filter_batch;
DROP FUNCTION iu.fn_iu_filter_keeps;
DROP FUNCTION iu.fn_iu_filter_verdict;
DROP FUNCTION iu.fn_iu_route_filter_problem;
DROP FUNCTION iu.fn_iu_payload_problem;
DROP FUNCTION iu.fn_iu_route_contract_problem;
DROP FUNCTION iu.fn_iu_route_retry_problem;
DROP FUNCTION iu.fn_iu_route_url_problem;
DROP FUNCTION iu.fn_iu_delivery_is_live_route;
DROP FUNCTION public.fn_iu_delivery_live_routes;
DROP FUNCTION iu.fn_iu_delivery_live_routes;
DROP FUNCTION public.fn_iu_route_worker_enabled;
DROP FUNCTION iu.fn_iu_route_worker_enabled;
DELETE FROM public.iu_switch_registry WHERE switch_key = 'iu_core.route_worker_enabled';
DELETE FROM public.dot_config WHERE key IN ('iu_core.route_worker_enabled', 'iu_core.delivery_live_routes');
