-- What the functions of the composer ask before they change anything, and the digest
-- of an order.

CREATE FUNCTION iu.fn_iu_composer_require(p_function text) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  PERFORM iu.fn_iu_writer_require_read_committed(p_function);
  IF NOT iu_core.gate_is_open('iu_core.composer_enabled') THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'composing is closed: gate iu_core.composer_enabled',
      DETAIL = format('Function: %s.', p_function),
      HINT = 'Open it with fn_iu_gate_open, with an approval and a time limit.',
      CONSTRAINT = 'iu_composer_gate_closed';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_composer_require IS
  'For functions of the composer: SQLSTATE 25000 in a transaction of another isolation level than READ COMMITTED, '
  '42501 while gate iu_core.composer_enabled is closed. Argument: the function.';

CREATE FUNCTION iu.fn_iu_collection_key_problem(p_collection_key text) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN CASE
  WHEN iu_core.text_problem(p_collection_key, false) IS NOT NULL OR p_collection_key <> btrim(p_collection_key)
       OR p_collection_key ~ '(^|/)[.]{0,2}(/|$)' OR position(E'\\' IN p_collection_key) > 0
    THEN '1 to 200 characters in one line, without blanks at the ends, a backslash, and parts "", "." and ".." between '
         'slashes' END;
COMMENT ON FUNCTION iu.fn_iu_collection_key_problem IS
  'What the key of a collection must be, in words, where this one is not; otherwise NULL. Raises nothing.';

CREATE FUNCTION iu.fn_iu_collection_kind_require(p_collection_kind text) RETURNS void
  LANGUAGE plpgsql
AS $function$
BEGIN
  IF NOT iu.fn_iu_vocab_has('collection_kind', p_collection_kind) THEN
    PERFORM iu.fn_iu_require_value(false, 'iu_piece_collection_kind_chk', 'p_collection_kind',
      'one of ' || array_to_string(iu.fn_iu_vocab_values('collection_kind'), ', '), p_collection_kind);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_kind_require IS
  'For functions that pin its search_path: 23514 for a kind that is no value of vocabulary collection_kind.';

CREATE FUNCTION iu.fn_iu_collection_require(
    p_collection_key text, p_collection_kind text, p_title text, p_description text, p_actor text)
  RETURNS void
  LANGUAGE plpgsql
AS $function$
BEGIN
  IF iu.fn_iu_collection_key_problem(p_collection_key) IS NOT NULL THEN
    PERFORM iu.fn_iu_require_value(false, 'iu_collection_key', 'p_collection_key',
      iu.fn_iu_collection_key_problem(p_collection_key), p_collection_key);
  END IF;
  PERFORM iu.fn_iu_collection_kind_require(p_collection_kind);
  PERFORM iu.fn_iu_require_text('iu_collection_title', 'p_title', 'what stands above it', p_title, true);
  IF p_description IS NOT NULL THEN
    PERFORM iu.fn_iu_require_text('iu_collection_description', 'p_description', 'what it is for, or NULL',
      p_description, true);
  END IF;
  PERFORM iu.fn_iu_require_actor(p_actor, 'composes the collection');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_require IS
  'For functions that pin its search_path: refuses a key, kind, title, description or actor of a collection with '
  'SQLSTATE 23514.';

CREATE FUNCTION iu.fn_iu_piece_role_require(p_piece_role text) RETURNS void
  LANGUAGE plpgsql
AS $function$
BEGIN
  IF NOT iu.fn_iu_vocab_has('piece_role', p_piece_role) THEN
    PERFORM iu.fn_iu_require_value(false, 'iu_piece_membership_role_chk', 'p_piece_role',
      'one of ' || array_to_string(iu.fn_iu_vocab_values('piece_role'), ', '), p_piece_role);
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_piece_role_require IS
  'For functions that pin its search_path: 23514 for a role that is no value of vocabulary piece_role.';

CREATE FUNCTION iu.fn_iu_collection_missing(p_collection_id uuid) RETURNS void
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RAISE no_data_found USING
    MESSAGE = format('collection %s not found / deleted', coalesce(p_collection_id::text, 'NULL')),
    DETAIL = format('Collection: %s.', coalesce(p_collection_id::text, 'NULL')),
    HINT = 'v_iu_collection_envelope lists the collections.', CONSTRAINT = 'iu_collection_unknown';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_missing IS 'Raises P0002 for a collection that there is not, or no more.';

CREATE FUNCTION iu.fn_iu_collection_get(p_collection_id uuid) RETURNS public.iu_piece_collection
  LANGUAGE plpgsql STABLE
AS $function$
DECLARE
  v_collection public.iu_piece_collection;
BEGIN
  SELECT c.* INTO v_collection FROM public.iu_piece_collection c
   WHERE c.id = p_collection_id AND c.deleted_at IS NULL;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_collection_missing(p_collection_id);
  END IF;
  RETURN v_collection;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_get IS
  'For functions that pin its search_path: the row of a collection that is not deleted; otherwise P0002.';

-- Everybody who changes a collection locks in this order: the collection, units by
-- their addresses, memberships. The gate is asked once more when the lock is there: it may
-- have been closed while somebody else had it.
CREATE FUNCTION iu.fn_iu_collection_lock(p_function text, p_collection_id uuid, p_actor text)
  RETURNS public.iu_piece_collection
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_collection public.iu_piece_collection;
BEGIN
  PERFORM iu.fn_iu_composer_require(p_function);
  PERFORM iu.fn_iu_require_actor(p_actor, 'changes the collection');
  SELECT c.* INTO v_collection FROM public.iu_piece_collection c
   WHERE c.id = p_collection_id AND c.deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    PERFORM iu.fn_iu_collection_missing(p_collection_id);
  ELSIF v_collection.lifecycle_status = 'retired' THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('collection %s is retired: it does not change', iu_core.text_shown(v_collection.collection_key)),
      DETAIL = format('Collection: %s.', p_collection_id),
      HINT = 'Compose another one.', CONSTRAINT = 'iu_collection_retired';
  END IF;
  PERFORM iu.fn_iu_composer_require(p_function);
  RETURN v_collection;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_lock IS
  'For functions of the composer, which pin its search_path: locks a collection that is to be changed, and returns its '
  'row. Arguments: the function, the collection, who. Errors: those of iu.fn_iu_composer_require, before the lock and '
  'with it; P0002 there is none; 55000 it is retired; 23514 no actor.';

-- Whoever deletes one of the units meanwhile waits, or is seen here. The order is that
-- of everybody who locks several units.
CREATE FUNCTION iu.fn_iu_pieces_lock(p_iu_ids uuid[]) RETURNS void
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_count   integer;
  v_missing uuid;
BEGIN
  SELECT count(*) INTO v_count
    FROM (SELECT u.id FROM public.information_unit u
           WHERE u.id = ANY (p_iu_ids) AND u.deleted_at IS NULL
           ORDER BY u.canonical_address COLLATE "C" FOR KEY SHARE) AS l;
  IF v_count < cardinality(p_iu_ids) THEN
    SELECT i.id INTO v_missing FROM unnest(p_iu_ids) WITH ORDINALITY AS i (id, n)
     WHERE NOT EXISTS (SELECT FROM public.information_unit u WHERE u.id = i.id AND u.deleted_at IS NULL)
     ORDER BY i.n LIMIT 1;
    RAISE foreign_key_violation USING
      MESSAGE = format('piece %s not found / soft-deleted', coalesce(v_missing::text, 'NULL')),
      DETAIL = format('Unit: %s.', coalesce(v_missing::text, 'NULL')),
      HINT = 'Give the id of a unit that is not deleted.', CONSTRAINT = 'iu_collection_piece_unknown';
  END IF;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_pieces_lock IS
  'For functions of the composer, which pin its search_path: keeps units from being deleted until the transaction '
  'ends. Argument: their ids, each once. Error: 23503, the first that there is not, or that is deleted.';

CREATE FUNCTION iu.fn_iu_manifest_digest(p_orders integer[], p_iu_ids uuid[], p_roles text[]) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN iu_core.manifest_digest(p_orders, p_iu_ids, p_roles);
COMMENT ON FUNCTION iu.fn_iu_manifest_digest IS
  'The digest of an order: MD5 of "<order>:<unit>:<role>" of all pieces in order, with "|" between them; NULL: there '
  'are none. Arguments: orders, units and roles, each list as long as the others. Raises nothing.';

CREATE FUNCTION iu.fn_iu_collection_digest(p_collection_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN (SELECT iu.fn_iu_manifest_digest(array_agg(m.piece_order), array_agg(m.iu_id), array_agg(m.piece_role))
            FROM public.iu_piece_membership m
           WHERE m.collection_id = p_collection_id AND m.membership_status = 'active');
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_digest IS
  'What public.fn_iu_collection_digest hands on to, with the rights of iu_core_owner.';
CREATE FUNCTION public.fn_iu_collection_digest(p_collection_id uuid) RETURNS text
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader}') THEN iu.fn_iu_collection_digest(p_collection_id) END;
COMMENT ON FUNCTION public.fn_iu_collection_digest IS
  'The digest of the order of a collection as it is: md5(string_agg(piece_order || '':'' || iu_id || '':'' || '
  'piece_role, ''|'' ORDER BY piece_order)) over its active memberships; NULL: it has none, or there is no such '
  'collection. Two collections with the same units in the same order and roles have the same digest. Raises nothing of '
  'its own.';

CREATE FUNCTION iu.fn_iu_collection_touch(p_collection_id uuid, p_actor text) RETURNS text
  LANGUAGE plpgsql
AS $function$
DECLARE
  v_digest text;
BEGIN
  UPDATE public.iu_piece_collection c
     SET manifest_digest = iu.fn_iu_collection_digest(c.id), updated_by = p_actor, updated_at = now()
   WHERE c.id = p_collection_id
   RETURNING c.manifest_digest INTO v_digest;
  RETURN v_digest;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_touch IS
  'For functions of the composer, which pin its search_path: after a change of the order, stores the digest, who and '
  'when, and returns the digest. Arguments: the collection, who.';
