-- What a route carries: one event type, several, or those that match a pattern. The
-- route says it in words; here it stands by type, as the claim looks it up.

-- An underscore is one of a name, as it is not for LIKE.
CREATE FUNCTION iu.fn_iu_route_type_words(p_event_type text) RETURNS text[]
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN ARRAY(SELECT btrim(w.word) FROM string_to_table(p_event_type, ',') WITH ORDINALITY AS w (word, n) ORDER BY w.n);
COMMENT ON FUNCTION iu.fn_iu_route_type_words IS
  'The names and patterns of the event_type of a route, which are separated by commas.';

CREATE FUNCTION iu.fn_iu_route_type_matches(p_words text[], p_event_type text) RETURNS boolean
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT FROM unnest(p_words) AS w (word)
                WHERE w.word ~ '^[a-z0-9_.*]+$'
                  AND p_event_type LIKE replace(replace(w.word, '_', E'\\_'), '*', '%'));
COMMENT ON FUNCTION iu.fn_iu_route_type_matches IS
  'Whether one of these names and patterns (* stands for any characters, or none) is or matches an event type.';

CREATE FUNCTION iu.fn_iu_route_types(p_event_domain text, p_event_type text)
  RETURNS TABLE (event_domain text, event_type text, named boolean)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT r.event_domain, r.event_type,
         r.event_domain = p_event_domain AND r.event_type = ANY (iu.fn_iu_route_type_words(p_event_type))
    FROM public.event_type_registry r
   WHERE p_event_domain IN (r.event_domain, '*')
     AND iu.fn_iu_route_type_matches(iu.fn_iu_route_type_words(p_event_type), r.event_type);
END;
COMMENT ON FUNCTION iu.fn_iu_route_types IS
  'The registered event types that a route of this event_domain and event_type carries, each with whether the route '
  'names it, and does not only match it by a pattern.';

CREATE FUNCTION iu.fn_iu_route_type_problem(p_event_domain text, p_event_type text) RETURNS text
  LANGUAGE plpgsql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  c_most  constant integer := 100;
  v_words constant text[] := iu.fn_iu_route_type_words(p_event_type);
  v_word  text;
BEGIN
  IF p_event_domain IS NULL OR v_words = '{}' THEN
    RETURN 'the event type is missing';
  ELSIF cardinality(v_words) > c_most THEN
    RETURN format('it names %s event types, and may name %s; a pattern such as order_* may match more',
                  cardinality(v_words), c_most);
  END IF;
  SELECT w INTO v_word FROM unnest(v_words) WITH ORDINALITY AS u (w, n)
   WHERE NOT EXISTS (SELECT FROM iu.fn_iu_route_types(p_event_domain, w)) ORDER BY n LIMIT 1;
  IF FOUND THEN
    v_word := iu_core.text_made_fit(left(p_event_domain || '.' || v_word, 200), false);
    RETURN format(CASE WHEN v_word ~ E'\\*' THEN 'pattern "%s" matches no event type that is registered'
                       ELSE 'event type "%s" is not registered' END, v_word);
  END IF;
  RETURN NULL;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_type_problem IS
  'NULL if a route may carry these event types (a domain, or * for every one; names and patterns, separated by commas, '
  'at most 100), otherwise what is wrong: one is not registered, or matches nothing that is.';

CREATE FUNCTION iu.fn_iu_route_stream(p_event_domain text, p_event_type text) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT CASE WHEN iu.fn_iu_route_type_problem(p_event_domain, p_event_type) IS NULL
              THEN CASE count(DISTINCT r.event_stream) WHEN 1 THEN min(r.event_stream) ELSE 'several' END END
    FROM iu.fn_iu_route_types(p_event_domain, p_event_type) t
    JOIN public.event_type_registry r ON (r.event_domain, r.event_type) = (t.event_domain, t.event_type);
END;
COMMENT ON FUNCTION iu.fn_iu_route_stream IS
  'The stream of the event types that a route would carry, several where they differ; NULL where it cannot carry them.';

CREATE TABLE public.iu_route_type (
  route_code   text    NOT NULL REFERENCES public.iu_outbound_route (route_code) ON DELETE CASCADE,
  event_domain text    NOT NULL,
  event_type   text    NOT NULL,
  named        boolean NOT NULL,
  PRIMARY KEY (route_code, event_domain, event_type),
  FOREIGN KEY (event_domain, event_type) REFERENCES public.event_type_registry (event_domain, event_type)
);
CREATE INDEX iu_route_type_carriers ON public.iu_route_type (event_domain, event_type, route_code);
COMMENT ON INDEX public.iu_route_type_carriers IS 'The routes that carry an event type.';
COMMENT ON TABLE public.iu_route_type IS
  'The event types that each route carries, one row each: what its event_domain and event_type name or match. A type '
  'that is registered later and matches the pattern of a route comes by itself.';
COMMENT ON COLUMN public.iu_route_type.route_code IS 'The route';
COMMENT ON COLUMN public.iu_route_type.event_domain IS 'With event_type: what it carries';
COMMENT ON COLUMN public.iu_route_type.event_type IS 'With event_domain: what it carries';
COMMENT ON COLUMN public.iu_route_type.named IS
  'Whether the route names it; otherwise its pattern matches it, and it goes when the event type is unregistered';

CREATE FUNCTION iu.fn_iu_route_type_follow() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF TG_OP = 'DELETE' THEN
    DELETE FROM public.iu_route_type t
     WHERE (t.event_domain, t.event_type) = (OLD.event_domain, OLD.event_type) AND NOT t.named;
    RETURN OLD;
  END IF;
  INSERT INTO public.iu_route_type (route_code, event_domain, event_type, named)
    SELECT o.route_code, NEW.event_domain, NEW.event_type, false FROM public.iu_outbound_route o
     WHERE o.retired_at IS NULL AND o.event_domain IN (NEW.event_domain, '*')
       AND iu.fn_iu_route_type_matches(iu.fn_iu_route_type_words(o.event_type), NEW.event_type)
    ON CONFLICT DO NOTHING;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_route_type_follow IS
  'Triggers of event_type_registry: a new event type goes on the routes whose pattern matches it, and leaves them when '
  'it is unregistered. Raises nothing.';
CREATE TRIGGER trg_iu_route_type_join AFTER INSERT ON public.event_type_registry
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_route_type_follow();
COMMENT ON TRIGGER trg_iu_route_type_join ON public.event_type_registry IS
  'A new event type goes on the routes whose pattern matches it.';
CREATE TRIGGER trg_iu_route_type_leave BEFORE DELETE ON public.event_type_registry
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_route_type_follow();
COMMENT ON TRIGGER trg_iu_route_type_leave ON public.event_type_registry IS
  'An event type that is unregistered leaves the routes that only matched it.';
ALTER TABLE public.event_type_registry ENABLE ALWAYS TRIGGER trg_iu_route_type_join,
  ENABLE ALWAYS TRIGGER trg_iu_route_type_leave;

-- This function is inlined where it is called.
CREATE FUNCTION iu.fn_iu_route_carries(p_route_code text, p_event_domain text, p_event_type text) RETURNS boolean
  LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM public.iu_route_type t
                WHERE t.route_code = p_route_code AND t.event_domain = p_event_domain AND t.event_type = p_event_type);
COMMENT ON FUNCTION iu.fn_iu_route_carries IS 'Whether a route carries events of this type.';
