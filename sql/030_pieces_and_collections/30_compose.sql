-- Composing: a collection comes into being with all of its pieces, or not at all.
-- Pieces are units that there are, and units that are made on the way.

CREATE FUNCTION iu.fn_iu_pieces_refuse(p_element bigint, p_what text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE check_violation USING
    MESSAGE = format('piece %s %s', p_element, p_what),
    DETAIL = format('Element: %s; it %s.', p_element, p_what),
    HINT = 'A piece is {"role", "iu_id"}, or {"role", "new_piece": {"canonical_address", "title", "body", "unit_kind", '
           '"section_type"}}.',
    CONSTRAINT = 'iu_collection_pieces';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pieces_refuse IS
  'Raises 23514 for an element of p_pieces: its number from 1, what is wrong.';

CREATE FUNCTION iu.fn_iu_pieces_limit(p_count bigint) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF p_count > 10000 THEN
    RAISE program_limit_exceeded USING
      MESSAGE = format('a collection has at most 10000 pieces, not %s', p_count),
      DETAIL = format('Pieces: %s.', p_count),
      HINT = 'Make several collections.', CONSTRAINT = 'iu_collection_too_many_pieces';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pieces_limit IS
  'Raises 54000 for more pieces than a collection has: each change of its order is as long as the collection.';

CREATE FUNCTION iu.fn_iu_pieces_require(p_pieces jsonb) RETURNS void
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_roles CONSTANT text[] := iu.fn_iu_vocab_values('piece_role');
  v_wrong record;
BEGIN
  PERFORM iu.fn_iu_require_value(coalesce(jsonb_typeof(p_pieces), '') = 'array', 'iu_collection_pieces', 'p_pieces',
    'an array of objects', jsonb_typeof(p_pieces));
  PERFORM iu.fn_iu_require_value(pg_column_size(p_pieces) <= 67108864, 'iu_collection_pieces', 'p_pieces',
    'an array in up to 67108864 bytes', pg_column_size(p_pieces)::text);
  PERFORM iu.fn_iu_pieces_limit(jsonb_array_length(p_pieces));
  SELECT x.* INTO v_wrong
    FROM (
      SELECT e.n, CASE
               WHEN jsonb_typeof(e.piece) <> 'object' THEN 'is not an object'
               WHEN e.piece - '{role,iu_id,new_piece}'::text[] <> '{}' THEN 'has a key that no piece has: '
                 || iu.fn_iu_keys_shown(e.piece - '{role,iu_id,new_piece}'::text[])
               WHEN jsonb_typeof(e.piece -> 'role') IS DISTINCT FROM 'string' THEN 'has no role'
               WHEN e.piece ->> 'role' <> ALL (v_roles)
                 THEN format('has a role that is not one of %s: %s', array_to_string(v_roles, ', '),
                             iu_core.text_shown(e.piece ->> 'role'))
               WHEN (e.piece ? 'iu_id') = (e.piece ? 'new_piece') THEN 'has not one of iu_id and new_piece'
               WHEN e.piece ? 'new_piece' AND jsonb_typeof(e.piece -> 'new_piece') <> 'object'
                 THEN 'has a new_piece that is not an object'
               WHEN e.piece ? 'new_piece' AND (e.piece -> 'new_piece')
                      - '{canonical_address,title,body,unit_kind,section_type}'::text[] <> '{}'
                 THEN 'has a new_piece with another key'
               WHEN e.piece ? 'iu_id' AND (jsonb_typeof(e.piece -> 'iu_id') <> 'string' OR e.piece ->> 'iu_id'
                      !~ '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')
                 THEN 'has an iu_id that is not a uuid'
               WHEN row_number() OVER (PARTITION BY lower(e.piece ->> 'iu_id') ORDER BY e.n) > 1
                    AND e.piece ->> 'iu_id' IS NOT NULL THEN 'is a unit that was named before' END AS wrong
        FROM jsonb_array_elements(p_pieces) WITH ORDINALITY AS e (piece, n)) AS x
   WHERE x.wrong IS NOT NULL ORDER BY x.n LIMIT 1;
  IF FOUND THEN
    PERFORM iu.fn_iu_pieces_refuse(v_wrong.n, v_wrong.wrong);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pieces_require IS
  'For fn_iu_compose, which pins its search_path: refuses p_pieces where something is wrong with it that can be told '
  'without a look at units: 23514, naming the first element, or for more than 64 MB; 54000 for more than 10000.';

CREATE FUNCTION iu.fn_iu_pieces_mint(p_new jsonb, p_numbers bigint[], p_actor text) RETURNS uuid[]
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_result jsonb;
  v_taken  record;
  v_ids    uuid[];
BEGIN
  IF p_new IS NULL THEN
    RETURN '{}';
  END IF;
  BEGIN
    v_result := iu.fn_iu_import_write(p_new, p_actor, false);
  EXCEPTION WHEN unique_violation THEN
    -- Somebody has taken an address meanwhile; whatever else it is goes on as it is.
    IF NOT EXISTS (SELECT FROM jsonb_array_elements(p_new) AS e (row)
                     JOIN public.information_unit u ON u.canonical_address = e.row ->> 'canonical_address') THEN
      RAISE;
    END IF;
    v_result := '{"existing": 1}';
  END;
  IF v_result -> 'refused' <> '[]' THEN
    PERFORM iu.fn_iu_pieces_refuse(p_numbers[(v_result #>> '{refused,0,row}')::integer],
      format('is not made: %s, field %s', v_result #>> '{refused,0,status}', v_result #>> '{refused,0,field}'));
  ELSIF v_result -> 'existing' <> '0' THEN
    SELECT p_numbers[e.n] AS n, u.canonical_address AS address INTO v_taken
      FROM jsonb_array_elements(p_new) WITH ORDINALITY AS e (row, n)
      JOIN public.information_unit u ON u.canonical_address = e.row ->> 'canonical_address'
     WHERE NOT coalesce(v_result -> 'ids' ? u.id::text, false)
     ORDER BY e.n LIMIT 1;
    RAISE unique_violation USING
      MESSAGE = format('piece %s is not made: unit %s has the address already', v_taken.n,
                       iu_core.text_shown(v_taken.address)),
      DETAIL = format('Element: %s; address: %s.', v_taken.n, iu_core.text_shown(v_taken.address)),
      HINT = 'Give the unit that there is as iu_id, or another address.',
      CONSTRAINT = 'iu_collection_piece_address_taken';
  END IF;
  SELECT array_agg(u.id ORDER BY e.n) INTO v_ids
    FROM jsonb_array_elements(p_new) WITH ORDINALITY AS e (row, n)
    JOIN public.information_unit u ON u.canonical_address = e.row ->> 'canonical_address';
  PERFORM iu.fn_iu_require_effect(
    (SELECT count(*) FROM public.iu_birth_record b WHERE b.unit_id = ANY (v_ids)) = jsonb_array_length(p_new),
    'public.information_unit', 'making the pieces');
  PERFORM iu.fn_iu_metadata_refresh(v_ids);
  PERFORM iu.fn_iu_piece_events_try('created', v_ids, p_actor);
  RETURN v_ids;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pieces_mint IS
  'For fn_iu_compose, which pins its search_path and whose marker is in force: makes units as fn_iu_import does, '
  'derives their tags, and returns their ids in order. Arguments: an array of objects (NULL: none), the number of '
  'each among the pieces, who. Errors: 23514 what fn_iu_import would refuse; 23505 an address is taken.';

CREATE FUNCTION iu.fn_iu_collection_events(
    p_collection public.iu_piece_collection, p_iu_ids uuid[], p_roles text[], p_actor text)
  RETURNS void
  LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM iu.fn_event_put_rows('iu', 'iu_piece_collection', p_collection.id::text, p_actor, p_collection.id::text,
    'collection_created'::text || array_fill('piece_added_to_collection'::text, ARRAY[cardinality(p_iu_ids)]),
    jsonb_build_object(
      'collection_id', p_collection.id, 'collection_key', p_collection.collection_key,
      'collection_kind', p_collection.collection_kind, 'pieces', cardinality(p_iu_ids),
      'manifest_digest', p_collection.manifest_digest)
    || ARRAY(SELECT jsonb_build_object(
                      'collection_id', p_collection.id, 'collection_key', p_collection.collection_key,
                      'iu_id', i.iu_id, 'piece_order', i.n - 1, 'piece_role', i.piece_role)
               FROM unnest(p_iu_ids, p_roles) WITH ORDINALITY AS i (iu_id, piece_role, n) ORDER BY i.n));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_events IS
  'For functions of the composer, which pin its search_path: event iu.collection_created, and after it one '
  'iu.piece_added_to_collection for each piece. Arguments: the new collection, units, roles, who. Nothing is written '
  'while the master switch is off.';

-- The order of a new collection is its pieces from 0 on, so that the digest is known
-- before the row is written. Who inserts a key first has it: of two at once the second
-- waits for the first, by the key itself, so that a transaction that makes very many
-- collections needs no entries in the server's table of locks. What was asked before
-- the wait is asked again after it.
CREATE FUNCTION iu.fn_iu_collection_open(
    p_collection_key text, p_collection_kind text, p_title text, p_description text, p_iu_ids uuid[], p_roles text[],
    p_actor text)
  RETURNS public.iu_piece_collection
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_collection public.iu_piece_collection;
BEGIN
  FOR v_try IN 1 .. 10 LOOP
    INSERT INTO public.iu_piece_collection
        (collection_key, collection_kind, title, description, manifest_digest, created_by, updated_by)
      VALUES (p_collection_key, p_collection_kind, p_title, p_description, iu.fn_iu_manifest_digest(
                ARRAY(SELECT generate_series(0, cardinality(p_iu_ids) - 1)), p_iu_ids, p_roles), p_actor, p_actor)
      ON CONFLICT (collection_key) DO NOTHING
      RETURNING * INTO v_collection;
    EXIT WHEN FOUND;
    IF EXISTS (SELECT FROM public.iu_piece_collection c WHERE c.collection_key = p_collection_key) THEN
      RETURN NULL;
    END IF;
    -- What had the key was taken back just now, so that it is free; or something is in the way, each time.
  END LOOP;
  IF v_collection.id IS NULL THEN
    PERFORM iu.fn_iu_require_effect(false, 'public.iu_piece_collection', 'writing the collection');
  END IF;
  IF NOT iu_core.gate_is_open('iu_core.composer_enabled') THEN
    PERFORM iu.fn_iu_composer_require('fn_iu_compose');
  END IF;
  IF NOT iu.fn_iu_vocab_has('collection_kind', p_collection_kind) THEN
    PERFORM iu.fn_iu_collection_kind_require(p_collection_kind);
  END IF;
  RETURN v_collection;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_open IS
  'For functions of the composer, which pin its search_path: writes the row of a collection with the digest of these '
  'units in this order and these roles, and returns it; NULL: the key is taken. Asks gate and kind by itself. '
  'Arguments: key, kind, title, description, units, roles, who.';

CREATE FUNCTION iu.fn_iu_collection_fill(
    p_collection public.iu_piece_collection, p_iu_ids uuid[], p_roles text[], p_actor text)
  RETURNS void
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_digest text;
BEGIN
  IF cardinality(p_iu_ids) > 0 THEN
    PERFORM iu.fn_iu_pieces_lock(p_iu_ids);
    INSERT INTO public.iu_piece_membership (collection_id, iu_id, piece_order, piece_role, added_by)
      SELECT p_collection.id, i.iu_id, i.n - 1, i.piece_role, p_actor
        FROM unnest(p_iu_ids, p_roles) WITH ORDINALITY AS i (iu_id, piece_role, n) ORDER BY i.n;
    -- Who takes a role out of the vocabulary waits for this transaction from here on.
    PERFORM iu.fn_iu_piece_role_require(r.piece_role) FROM unnest(p_roles) AS r (piece_role)
     WHERE NOT EXISTS (SELECT FROM public.dot_config c WHERE c.key = 'vocab.piece_role.' || r.piece_role);
    SELECT iu.fn_iu_manifest_digest(array_agg(m.piece_order), array_agg(m.iu_id), array_agg(m.piece_role))
      INTO v_digest FROM public.iu_piece_membership m
     WHERE m.collection_id = p_collection.id AND m.membership_status = 'active';
    IF v_digest IS DISTINCT FROM p_collection.manifest_digest THEN
      PERFORM iu.fn_iu_require_effect(false, 'public.iu_piece_membership', 'composing the collection');
    END IF;
  END IF;
  PERFORM iu.fn_iu_collection_events(p_collection, p_iu_ids, p_roles, p_actor);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_fill IS
  'For functions of the composer, which pin its search_path: writes the memberships of a collection that '
  'iu.fn_iu_collection_open has just written, and the events of both. Arguments: that row, units, roles, who. Errors: '
  '23503 a unit is not there, or deleted; 23514 a role.';

CREATE FUNCTION iu.fn_iu_collection_write(
    p_collection_key text, p_collection_kind text, p_title text, p_description text, p_iu_ids uuid[], p_roles text[],
    p_actor text)
  RETURNS public.iu_piece_collection
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_collection CONSTANT public.iu_piece_collection := iu.fn_iu_collection_open(p_collection_key, p_collection_kind,
    p_title, p_description, p_iu_ids, p_roles, p_actor);
BEGIN
  IF v_collection.id IS NULL THEN
    RAISE unique_violation USING
      MESSAGE = format('collection key %s is taken', iu_core.text_shown(p_collection_key)),
      DETAIL = format('Key: %s.', iu_core.text_shown(p_collection_key)),
      HINT = 'Give another key; that of a deleted collection stays taken.', CONSTRAINT = 'iu_collection_key_taken';
  END IF;
  PERFORM iu.fn_iu_collection_fill(v_collection, p_iu_ids, p_roles, p_actor);
  RETURN v_collection;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_write IS
  'For functions of the composer, which pin its search_path: writes a collection with these units in this order and '
  'these roles, and its events. Arguments: key, kind, title, description, units, roles, who. Errors: 23505 the key is '
  'taken; those of iu.fn_iu_collection_open and iu.fn_iu_collection_fill.';

CREATE FUNCTION iu.fn_iu_compose(
    p_collection_key text, p_collection_kind text, p_title text, p_description text, p_pieces jsonb, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  SET app.canonical_writer = 'fn_iu_compose'
AS $function$
DECLARE
  v_new        jsonb;
  v_numbers    bigint[];
  v_minted     uuid[];
  v_iu_ids     uuid[];
  v_roles      text[];
  v_collection public.iu_piece_collection;
BEGIN
  PERFORM iu.fn_iu_composer_require('fn_iu_compose');
  PERFORM iu.fn_iu_collection_require(p_collection_key, p_collection_kind, p_title, p_description, p_actor);
  PERFORM iu.fn_iu_pieces_require(p_pieces);
  SELECT jsonb_agg(e.piece -> 'new_piece' ORDER BY e.n), array_agg(e.n ORDER BY e.n) INTO v_new, v_numbers
    FROM jsonb_array_elements(p_pieces) WITH ORDINALITY AS e (piece, n) WHERE e.piece ? 'new_piece';
  v_minted := iu.fn_iu_pieces_mint(v_new, v_numbers, p_actor);
  SELECT coalesce(array_agg(coalesce(p.iu_id, v_minted[p.nth_new]) ORDER BY p.n), '{}'),
         coalesce(array_agg(p.piece_role ORDER BY p.n), '{}')
    INTO v_iu_ids, v_roles
    FROM (SELECT e.n, (e.piece ->> 'iu_id')::uuid AS iu_id, e.piece ->> 'role' AS piece_role,
                 (count(*) FILTER (WHERE e.piece ? 'new_piece') OVER (ORDER BY e.n))::integer AS nth_new
            FROM jsonb_array_elements(p_pieces) WITH ORDINALITY AS e (piece, n)) AS p;
  v_collection := iu.fn_iu_collection_write(p_collection_key, p_collection_kind, p_title, p_description, v_iu_ids,
    v_roles, p_actor);
  RETURN jsonb_build_object('ok', true, 'collection_id', v_collection.id, 'collection_key', p_collection_key,
    'pieces_minted', cardinality(v_minted), 'pieces_attached', cardinality(v_iu_ids),
    'minted_unit_ids', to_jsonb(v_minted), 'manifest_digest', v_collection.manifest_digest);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_compose IS 'What public.fn_iu_compose hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_compose(
    p_collection_key text, p_collection_kind text, p_title text, p_description text, p_pieces jsonb, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_compose(p_collection_key, p_collection_kind, p_title, p_description, p_pieces, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_compose IS
  'Makes a collection with all of its pieces, or nothing: key, kind (a value of vocabulary collection_kind), title, '
  'description or NULL, pieces in order, who. A piece is {role, iu_id}, a unit that there is, or {role, new_piece: '
  '{canonical_address, title, body, unit_kind, section_type}}, which is made as fn_iu_create makes it; role is a value '
  'of vocabulary piece_role; a unit is in it once; up to 10000 pieces in 64 MB, also none. The collection is a draft. '
  'Returns {ok: true, collection_id, collection_key, pieces_minted, pieces_attached, minted_unit_ids, '
  'manifest_digest}. Events: one iu.collection_created, and one iu.piece_added_to_collection for each piece. SQLSTATE '
  '42501: gate iu_core.composer_enabled is closed; 23514: key, kind, title, description, pieces or actor; 23505: the '
  'key, or the address of a new piece, is taken; 23503: a unit is not there, or deleted; 54000: more than 10000 '
  'pieces; 25000: another isolation level than READ COMMITTED.';

CREATE FUNCTION iu.fn_iu_collection_create(
    p_collection_key text, p_collection_kind text, p_title text, p_description text, p_actor text)
  RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_collection public.iu_piece_collection;
BEGIN
  PERFORM iu.fn_iu_composer_require('fn_iu_collection_create');
  PERFORM iu.fn_iu_collection_require(p_collection_key, p_collection_kind, p_title, p_description, p_actor);
  v_collection := iu.fn_iu_collection_write(p_collection_key, p_collection_kind, p_title, p_description, '{}', '{}',
    p_actor);
  RETURN jsonb_build_object('ok', true, 'collection_id', v_collection.id, 'collection_key', p_collection_key);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_create IS
  'What public.fn_iu_collection_create hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_create(
    p_collection_key text, p_collection_kind text, p_title text, p_description text, p_actor text)
  RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_create(p_collection_key, p_collection_kind, p_title, p_description, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_collection_create IS
  'Makes a collection without pieces, a draft: key, kind, title, description or NULL, who. Returns {ok: true, '
  'collection_id, collection_key}. Event iu.collection_created. SQLSTATE as fn_iu_compose.';
