-- Collections as files: an export, and what somebody's edit of one would change. An
-- import only proposes; nothing is ever changed by it.

CREATE FUNCTION iu.fn_iu_collection_path(p_collection public.iu_piece_collection) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN format('iu-tree/_collections/%s/%s.md', (p_collection).collection_kind, (p_collection).collection_key);
COMMENT ON FUNCTION iu.fn_iu_collection_path IS
  'Where the file of a collection lies: iu-tree/_collections/<kind>/<key>.md. Raises nothing.';

CREATE FUNCTION iu.fn_iu_collection_export(p_collection_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_collection CONSTANT public.iu_piece_collection := iu.fn_iu_collection_get(p_collection_id);
BEGIN
  RETURN concat_ws(E'\n', '---',
    'path: ' || iu.fn_iu_collection_path(v_collection),
    'collection_key: ' || v_collection.collection_key,
    'collection_kind: ' || v_collection.collection_kind,
    'title: ' || v_collection.title,
    'lifecycle_status: ' || v_collection.lifecycle_status,
    'manifest_digest: ' || coalesce(iu.fn_iu_collection_digest(p_collection_id), ''),
    'pieces:',
    (SELECT string_agg(format('- %s %s', r.piece_role, r.canonical_address), E'\n' ORDER BY r.piece_order)
       FROM iu.fn_iu_collection_render(p_collection_id) AS r),
    '---', '', iu.fn_iu_render_file(p_collection_id));
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_export IS
  'What public.fn_iu_collection_export hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_export(p_collection_id uuid) RETURNS text
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_export(p_collection_id) END;
COMMENT ON FUNCTION public.fn_iu_collection_export IS
  'A collection as a file: a head between two lines "---" with its path (iu-tree/_collections/<kind>/<key>.md), key, '
  'kind, title, status, digest, and its pieces in order, a line "- <role> <address>" each; then what fn_iu_render_file '
  'returns. Somebody''s edit of the list is what fn_iu_collection_import_propose reads. SQLSTATE P0002: no such '
  'collection.';

CREATE FUNCTION iu.fn_iu_import_text_refuse(p_what text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE check_violation USING
    MESSAGE = format('the text is no export of a collection: %s', p_what),
    DETAIL = format('Problem: %s.', p_what),
    HINT = 'Give what fn_iu_collection_export returned, with its list of pieces edited.',
    CONSTRAINT = 'iu_collection_import_text';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_import_text_refuse IS 'Raises 23514 for a text that is no export: what is wrong with it.';

-- Between the first line "---" and the next one. A key never has two lines, so that
-- the first one found is the one that was written.
CREATE FUNCTION iu.fn_iu_import_lines(p_text text) RETURNS TABLE (n bigint, line text)
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_head text;
BEGIN
  IF coalesce(octet_length(p_text) BETWEEN 1 AND 16777216, false) IS NOT TRUE THEN
    PERFORM iu.fn_iu_import_text_refuse('it is empty, or longer than 16 MB');
  END IF;
  v_head := (regexp_match(replace(p_text, E'\r\n', E'\n'), '^---\n(.*?)\n---(?:\n|$)'))[1];
  IF v_head IS NULL THEN
    PERFORM iu.fn_iu_import_text_refuse('it has no head between two lines "---"');
  END IF;
  RETURN QUERY SELECT l.n, l.line FROM unnest(string_to_array(v_head, E'\n')) WITH ORDINALITY AS l (line, n);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_import_lines IS
  'For functions that pin its search_path: the lines of the head of an export. Error: 23514, it has none.';

CREATE FUNCTION iu.fn_iu_import_pieces(p_text text)
  RETURNS TABLE (wanted_order integer, piece_role text, canonical_address text)
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_roles CONSTANT text[] := iu.fn_iu_vocab_values('piece_role');
  v_wrong text;
BEGIN
  PERFORM iu.fn_iu_pieces_limit((SELECT count(*) FROM iu.fn_iu_import_lines(p_text) AS i WHERE i.line ~ '^-'));
  SELECT CASE WHEN l.m IS NULL THEN 'a piece is a line "- <role> <address>", not ' || iu_core.text_shown(l.line)
              WHEN l.m[1] <> ALL (v_roles)
                THEN format('%s is not a role: %s', iu_core.text_shown(l.m[1]), array_to_string(v_roles, ', '))
              ELSE format('%s stands twice', iu_core.text_shown(l.m[2])) END INTO v_wrong
    FROM (SELECT x.n, x.line, x.m, row_number() OVER (PARTITION BY x.m[2] ORDER BY x.n) AS nth
            FROM (SELECT i.n, i.line, regexp_match(i.line, '^- ([a-z][a-z0-9_]*) (.+)$') AS m
                    FROM iu.fn_iu_import_lines(p_text) AS i WHERE i.line ~ '^-') AS x) AS l
   WHERE l.m IS NULL OR l.nth > 1 OR l.m[1] <> ALL (v_roles) ORDER BY l.n LIMIT 1;
  IF v_wrong IS NOT NULL THEN
    PERFORM iu.fn_iu_import_text_refuse(v_wrong);
  END IF;
  RETURN QUERY
    SELECT (row_number() OVER (ORDER BY l.n) - 1)::integer, l.m[1], l.m[2]
      FROM (SELECT i.n, regexp_match(i.line, '^- ([a-z][a-z0-9_]*) (.+)$') AS m
              FROM iu.fn_iu_import_lines(p_text) AS i WHERE i.line ~ '^-') AS l;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_import_pieces IS
  'For fn_iu_collection_import_propose, which pins its search_path: the pieces that an export lists. Errors: 23514, '
  'naming the first line that is wrong; 54000 for more pieces than a collection has.';

CREATE FUNCTION iu.fn_iu_collection_compare(p_collection_id uuid, p_text text) RETURNS jsonb
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN (
    WITH wanted AS MATERIALIZED (
      SELECT p.*, u.id AS iu_id FROM iu.fn_iu_import_pieces(p_text) AS p
        LEFT JOIN public.information_unit u ON u.canonical_address = p.canonical_address AND u.deleted_at IS NULL
    ), has AS MATERIALIZED (
      SELECT m.iu_id, m.piece_order, m.piece_role, u.canonical_address
        FROM public.iu_piece_membership m JOIN public.information_unit u ON u.id = m.iu_id
       WHERE m.collection_id = p_collection_id AND m.membership_status = 'active'
    ), compared AS (
      SELECT coalesce(w.iu_id, h.iu_id) AS iu_id, coalesce(w.canonical_address, h.canonical_address) AS address,
             w.wanted_order, w.piece_role AS wanted_role, h.piece_order, h.piece_role,
             CASE WHEN w.canonical_address IS NOT NULL AND w.iu_id IS NULL AND h.iu_id IS NULL THEN 'unknown'
                  WHEN h.iu_id IS NULL THEN 'add' WHEN w.wanted_order IS NULL THEN 'remove'
                  WHEN (w.wanted_order, w.piece_role) <> (h.piece_order, h.piece_role) THEN 'move' END AS verdict
        FROM wanted w FULL JOIN has h ON h.canonical_address = w.canonical_address
    )
    SELECT jsonb_build_object(
             'add', coalesce(jsonb_agg(jsonb_build_object('iu_id', c.iu_id, 'canonical_address', c.address,
                               'piece_order', c.wanted_order, 'piece_role', c.wanted_role) ORDER BY c.wanted_order)
                             FILTER (WHERE c.verdict = 'add'), '[]'),
             'remove', coalesce(jsonb_agg(jsonb_build_object('iu_id', c.iu_id, 'canonical_address', c.address,
                                  'piece_order', c.piece_order, 'piece_role', c.piece_role) ORDER BY c.piece_order)
                                FILTER (WHERE c.verdict = 'remove'), '[]'),
             'move', coalesce(jsonb_agg(jsonb_build_object('iu_id', c.iu_id, 'canonical_address', c.address,
                                'from', c.piece_order, 'to', c.wanted_order, 'piece_role', c.wanted_role,
                                'was_piece_role', c.piece_role) ORDER BY c.wanted_order)
                              FILTER (WHERE c.verdict = 'move'), '[]'),
             'unknown', coalesce(jsonb_agg(c.address ORDER BY c.wanted_order)
                                 FILTER (WHERE c.verdict = 'unknown'), '[]'))
      FROM compared c);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_compare IS
  'For fn_iu_collection_import_propose, which pins its search_path: what differs between a collection and the list of '
  'an export: {add, remove, move, unknown}.';

CREATE FUNCTION iu.fn_iu_collection_import_propose(p_text text, p_actor text) RETURNS jsonb
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_key        text;
  v_digest     text;
  v_collection public.iu_piece_collection;
  v_changes    jsonb;
  v_event_id   uuid;
BEGIN
  PERFORM iu.fn_iu_require_actor(p_actor, 'proposes the import');
  SELECT substr(l.line, 17) INTO v_key FROM iu.fn_iu_import_lines(p_text) AS l
   WHERE starts_with(l.line, 'collection_key: ') ORDER BY l.n LIMIT 1;
  IF v_key IS NULL THEN
    PERFORM iu.fn_iu_import_text_refuse('its head has no line "collection_key: <key>"');
  END IF;
  SELECT c.* INTO v_collection FROM public.iu_piece_collection c
   WHERE c.collection_key = v_key AND c.deleted_at IS NULL;
  IF NOT FOUND THEN
    RAISE no_data_found USING
      MESSAGE = format('collection %s not found / deleted', iu_core.text_shown(v_key)),
      DETAIL = format('Key: %s.', iu_core.text_shown(v_key)),
      HINT = 'A collection that there is not is made by fn_iu_compose.', CONSTRAINT = 'iu_collection_unknown';
  END IF;
  SELECT substr(l.line, 18) INTO v_digest FROM iu.fn_iu_import_lines(p_text) AS l
   WHERE starts_with(l.line, 'manifest_digest: ') ORDER BY l.n LIMIT 1;
  v_changes := iu.fn_iu_collection_compare(v_collection.id, p_text);
  v_event_id := iu.fn_iu_collection_event('collection_import_proposed', v_collection, jsonb_build_object(
    'add', jsonb_array_length(v_changes -> 'add'), 'remove', jsonb_array_length(v_changes -> 'remove'),
    'move', jsonb_array_length(v_changes -> 'move'), 'unknown', jsonb_array_length(v_changes -> 'unknown')), p_actor);
  RETURN jsonb_build_object('collection_id', v_collection.id, 'collection_key', v_key,
    'is_current', v_digest IS NOT DISTINCT FROM coalesce(iu.fn_iu_collection_digest(v_collection.id), ''),
    'event_id', v_event_id) || v_changes;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_import_propose IS
  'What public.fn_iu_collection_import_propose hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_import_propose(p_text text, p_actor text) RETURNS jsonb
  LANGUAGE sql VOLATILE
RETURN CASE WHEN iu_core.require_role('{iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_collection_import_propose(p_text, p_actor) END;
COMMENT ON FUNCTION public.fn_iu_collection_import_propose IS
  'What an edited export would change, and nothing is changed: the text, who. Only the list of pieces in its head is '
  'read. Returns {collection_id, collection_key, is_current: whether the export is of the order as it is now, '
  'event_id, add: [{iu_id, canonical_address, piece_order, piece_role}], remove: [the same], move: [{iu_id, '
  'canonical_address, from, to, piece_role, was_piece_role}], unknown: [addresses of no unit]}. Event '
  'iu.collection_import_proposed, with the numbers. Somebody carries it out with fn_iu_collection_remove_piece, '
  '_add_piece and _reorder_piece. SQLSTATE 23514: the text is no export, or its list is wrong, or the actor; '
  'P0002: no such collection; 54000: more than 10000 pieces.';
