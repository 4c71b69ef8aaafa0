-- What is called on a loaded database to measure it. Times are ms of the CPU that
-- this server process used, so that nobody else on the machine counts; they come in
-- steps of some ms, so that short things are done many times and their mean is
-- taken. How long the whole took by the clock stands beside it.
CREATE TABLE bench_round (what text, ms numeric, clock_ms numeric);
CREATE TYPE bench_start AS (cpu numeric, clock timestamptz);
CREATE FUNCTION bench_now() RETURNS bench_start LANGUAGE sql VOLATILE AS $$
  SELECT (split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1000000, clock_timestamp())::bench_start
$$;
CREATE FUNCTION bench_note(p_what text, p_since bench_start, p_of integer DEFAULT 1) RETURNS void
LANGUAGE sql VOLATILE AS $$
  INSERT INTO bench_round (what, ms, clock_ms)
    SELECT p_what, (n.cpu - p_since.cpu) / p_of, extract(epoch FROM n.clock - p_since.clock)::numeric * 1000 / p_of
      FROM bench_now() n $$;

-- A table as information_unit is, with the same rows, indexes and triggers, but
-- for those whose name matches.
CREATE PROCEDURE bench_copy(p_name text, p_without text) LANGUAGE plpgsql AS $$
DECLARE
  v_columns text;
  v_trigger record;
BEGIN
  EXECUTE format('CREATE TABLE %I (LIKE information_unit INCLUDING ALL)', p_name);
  SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO v_columns FROM pg_attribute
   WHERE attrelid = 'information_unit'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
  EXECUTE format('INSERT INTO %I (%s) SELECT %2$s FROM information_unit
                   WHERE id IN (SELECT id FROM bench_unit WHERE n < 100000) ORDER BY canonical_address',
                 p_name, v_columns);
  FOR v_trigger IN SELECT tgname, tgenabled, pg_get_triggerdef(oid) AS def FROM pg_trigger
                    WHERE tgrelid = 'information_unit'::regclass AND NOT tgisinternal AND tgname !~ p_without LOOP
    EXECUTE replace(v_trigger.def, ' ON public.information_unit ', format(' ON public.%I ', p_name));
    IF v_trigger.tgenabled = 'A' THEN
      EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', p_name, v_trigger.tgname);
    END IF;
  END LOOP;
END $$;

-- The envelope of all units: filled, its rows inserted into a table like it, and
-- compared with the view.
CREATE PROCEDURE bench_fill(p_times integer) LANGUAGE plpgsql AS $$
DECLARE
  v_start bench_start;
BEGIN
  FOR i IN 1 .. p_times LOOP
    TRUNCATE iu_three_axis_envelope;
    COMMIT;
    v_start := bench_now();
    PERFORM FROM fn_iu_three_axis_envelope_refresh('bench', false);
    COMMIT;
    PERFORM bench_note('fill', v_start);
    CREATE TABLE bench_envelope (LIKE iu_three_axis_envelope INCLUDING ALL);
    v_start := bench_now();
    INSERT INTO bench_envelope SELECT * FROM iu_three_axis_envelope;
    COMMIT;
    PERFORM bench_note('insert', v_start);
    DROP TABLE bench_envelope;
    v_start := bench_now();
    IF NOT (fn_iu_three_axis_envelope_drift_check(true) ->> 'in_sync')::boolean THEN
      RAISE 'the envelope is not as the view';
    END IF;
    PERFORM bench_note('check', v_start);
  END LOOP;
END $$;

-- 100 units are changed; then they are read by statements that are planned once, read
-- by statements that are planned each, and the envelope is refreshed, each of the
-- three first in its turn, since the first pays for what the change left behind; so
-- many times, and once before, by which the session gets to know its statements.
CREATE PROCEDURE bench_refresh(p_times integer) LANGUAGE plpgsql AS $$
DECLARE
  c_units CONSTANT integer := (SELECT max(n) + 1 FROM bench_unit);
  c_steps CONSTANT text[] := '{read,read anew,refresh}';
  v_start bench_start;
  v_id    uuid;
  v_ids   uuid[];
BEGIN
  FOR i IN 0 .. p_times LOOP
    v_ids := ARRAY(SELECT b.id FROM bench_unit b
                    WHERE b.n = ANY (ARRAY(SELECT floor(random() * c_units)::integer FROM generate_series(1, 100))));
    UPDATE information_unit SET section_code = left(md5(random()::text), 9) WHERE id = ANY (v_ids);
    COMMIT;
    FOR step IN 0 .. 2 LOOP
      v_start := bench_now();
      CASE c_steps[(i + step) % 3 + 1]
        WHEN 'read' THEN
          FOREACH v_id IN ARRAY v_ids LOOP
            PERFORM * FROM information_unit WHERE id = v_id;
            PERFORM * FROM iu_metadata_tag WHERE unit_id = v_id;
            PERFORM * FROM iu_tree_path WHERE unit_id = v_id;
            PERFORM * FROM iu_three_axis_envelope WHERE unit_id = v_id;
          END LOOP;
        WHEN 'read anew' THEN
          FOREACH v_id IN ARRAY v_ids LOOP
            EXECUTE format('SELECT * FROM information_unit WHERE id = %L', v_id);
            EXECUTE format('SELECT * FROM iu_metadata_tag WHERE unit_id = %L', v_id);
            EXECUTE format('SELECT * FROM iu_tree_path WHERE unit_id = %L', v_id);
            EXECUTE format('SELECT * FROM iu_three_axis_envelope WHERE unit_id = %L', v_id);
          END LOOP;
        ELSE
          PERFORM FROM fn_iu_three_axis_envelope_refresh('bench', false);
      END CASE;
      COMMIT;
      PERFORM bench_note(c_steps[(i + step) % 3 + 1], v_start) WHERE i > 0;
    END LOOP;
  END LOOP;
END $$;

-- What a refresh of 100 changed units cannot do without, each by itself, beside reading
-- them by statements that are planned once: their rows are computed, locked, and written
-- by one UPDATE by their keys; each of the four first in its turn.
CREATE PROCEDURE bench_parts(p_times integer) LANGUAGE plpgsql AS $$
DECLARE
  c_units CONSTANT integer := (SELECT max(n) + 1 FROM bench_unit);
  c_steps CONSTANT text[] := '{parts read,computed,locked,written}';
  v_start bench_start;
  v_id    uuid;
  v_ids   uuid[];
BEGIN
  FOR i IN 0 .. p_times LOOP
    v_ids := ARRAY(SELECT b.id FROM bench_unit b
                    WHERE b.n = ANY (ARRAY(SELECT floor(random() * c_units)::integer FROM generate_series(1, 100))));
    UPDATE information_unit SET section_code = left(md5(random()::text), 9) WHERE id = ANY (v_ids);
    DELETE FROM iu_three_axis_envelope_mark;
    COMMIT;
    FOR step IN 0 .. 3 LOOP
      v_start := bench_now();
      CASE c_steps[(i + step) % 4 + 1]
        WHEN 'parts read' THEN
          FOREACH v_id IN ARRAY v_ids LOOP
            PERFORM * FROM information_unit WHERE id = v_id;
            PERFORM * FROM iu_metadata_tag WHERE unit_id = v_id;
            PERFORM * FROM iu_tree_path WHERE unit_id = v_id;
            PERFORM * FROM iu_three_axis_envelope WHERE unit_id = v_id;
          END LOOP;
        WHEN 'computed' THEN
          PERFORM * FROM iu.fn_iu_three_axis_envelope_rows_of(v_ids);
        WHEN 'locked' THEN
          PERFORM FROM iu_three_axis_envelope t WHERE t.unit_id = ANY (v_ids) ORDER BY t.unit_id FOR UPDATE SKIP LOCKED;
        ELSE
          SET LOCAL ROLE iu_core_owner;
          SET LOCAL app.canonical_writer = 'fn_iu_three_axis_envelope_refresh';
          UPDATE iu_three_axis_envelope SET refreshed_at = now() WHERE unit_id = ANY (v_ids);
      END CASE;
      COMMIT;
      PERFORM bench_note(c_steps[(i + step) % 4 + 1], v_start) WHERE i > 0;
    END LOOP;
  END LOOP;
END $$;

-- The same number of rows by a plain INSERT, with the triggers in place, and by the import.
CREATE PROCEDURE bench_import(p_rows integer) LANGUAGE plpgsql AS $$
DECLARE
  v_at    CONSTANT text := 'import/' || clock_timestamp() || '/';
  v_start bench_start;
  v_rows  jsonb;
BEGIN
  CREATE TEMP TABLE source ON COMMIT DROP AS
    SELECT i, gen_random_uuid() AS id, gen_random_uuid() AS version_id, v_at || i AS address,
           'text of ' || i || repeat(' some words', 20) AS body FROM generate_series(1, p_rows) AS i;
  ANALYZE source;
  v_start := bench_now();
  WITH unit AS (
    INSERT INTO information_unit
        (id, canonical_address, unit_kind, content_anchor_ref, version_anchor_ref, owner_ref, parent_or_container_ref,
         identity_profile, created_by, updated_by, doc_code, section_type, sort_order)
      SELECT s.id, s.address, 'law_unit', encode(sha256(convert_to(s.body, 'UTF8')), 'hex'), s.version_id, 'o', p.id,
             jsonb_build_object('title', 't', 'owner_lookup_ref', 'o', 'primary_section_type_ref', 'section'), 'o', 'o',
             'IMPORT', 'section', s.i
        FROM source s LEFT JOIN source p ON p.i = s.i - s.i % 10 AND s.i % 10 <> 0 ORDER BY s.i
  )
  INSERT INTO unit_version (id, unit_id, body, content_hash, version_seq, created_by)
    SELECT version_id, id, body, encode(sha256(convert_to(body, 'UTF8')), 'hex'), 1, 'o' FROM source ORDER BY i;
  COMMIT;
  PERFORM bench_note('plain', v_start);
  SELECT jsonb_agg(jsonb_build_object('canonical_address', v_at || '/' || i, 'title', 't', 'unit_kind', 'law_unit',
           'body', 'text of ' || i || repeat(' some words', 20), 'doc_code', 'IMPORT', 'sort_order', i,
           'parent_address', CASE WHEN i % 10 <> 0 AND i > 10 THEN v_at || '/' || i - i % 10 END))
    INTO v_rows FROM generate_series(1, p_rows) AS i;
  v_start := bench_now();
  IF fn_iu_import(v_rows, 'bench', false) ->> 'status' <> 'imported' THEN
    RAISE 'the import was refused';
  END IF;
  COMMIT;
  PERFORM bench_note('import', v_start);
END $$;

-- What a call of each of these costs, so many of each in a transaction.
CREATE PROCEDURE bench_calls(p_calls integer) LANGUAGE plpgsql AS $body$
DECLARE
  v_at      CONSTANT text := 'calls/' || clock_timestamp() || '/';
  v_all     CONSTANT text[] := ARRAY(SELECT v_at || i FROM generate_series(1, p_calls) AS i);
  v_decided jsonb := '{}';
  v_act     record;
  v_start   bench_start;
  v_status  text;
BEGIN
  FOR v_act IN SELECT * FROM (VALUES
      ('fn_iu_create', NULL::text[], $$fn_iu_create($1, 't', 'some text', 'bench')$$, 'created'),
      ('fn_iu_save', NULL, $$fn_iu_save($1, 'another text', 'bench')$$, 'draft_created_review_required'),
      ('fn_iu_apply_edit_draft', NULL, $$fn_iu_apply_edit_draft((SELECT d.draft_id FROM iu_edit_draft d
         JOIN information_unit u ON u.id = d.unit_id WHERE u.canonical_address = $1), 'other')$$, 'applied'),
      ('fn_iu_enact', v_all, $$fn_iu_enact($1, 'bench', $2)$$, 'enacted'),
      ('fn_iu_piece_split', v_all || ARRAY(SELECT a || c FROM unnest(v_all) AS a, unnest(ARRAY['/a', '/b']) AS c),
        $$fn_iu_piece_split($1, jsonb_build_array(
            jsonb_build_object('canonical_address', $1 || '/a', 'title', 't', 'body', 'a'),
            jsonb_build_object('canonical_address', $1 || '/b', 'title', 't', 'body', 'b')), 'bench', $2)$$, 'split'),
      ('fn_iu_piece_merge', ARRAY(SELECT a || c FROM unnest(v_all) AS a, unnest(ARRAY['/a', '/b']) AS c),
        $$fn_iu_piece_merge(jsonb_build_object('canonical_address', $1 || '/m', 'title', 't', 'body', 'm'),
            ARRAY[$1 || '/a', $1 || '/b'], 'bench', $2)$$, 'merged'),
      ('fn_iu_supersede', v_all, $$fn_iu_supersede($1, 'bench', $2, $1 || '/m')$$, 'superseded'),
      ('fn_iu_retire', v_all, $$fn_iu_retire($1, 'bench', $2)$$, 'retired')) AS a (what, decided, call, status) LOOP
    v_decided := CASE WHEN v_act.decided IS NOT NULL THEN fn_iu_review_decision_record(
      substring(v_act.what, '[a-z]+$'), v_act.decided, 'approve', 'bench', 'bench') END;
    v_start := bench_now();
    FOR i IN 1 .. p_calls LOOP
      EXECUTE format('SELECT %s ->> ''status''', v_act.call) INTO v_status
        USING v_all[i], (v_decided ->> 'review_decision_id')::uuid;
      IF v_status <> v_act.status THEN
        RAISE '% answers %', v_act.what, v_status;
      END IF;
    END LOOP;
    PERFORM bench_note(v_act.what, v_start, p_calls);
    COMMIT;
  END LOOP;
END $body$;

-- The median of a filter of the envelope, and the indexes that its plan names.
CREATE FUNCTION bench_filter(p_query text, OUT ms numeric, OUT indexes text) LANGUAGE plpgsql AS $$
DECLARE
  v_plan jsonb;
  v_took numeric[] := '{}';
BEGIN
  FOR i IN 1 .. 9 LOOP
    EXECUTE 'EXPLAIN (ANALYZE, TIMING off, FORMAT json) ' || p_query INTO v_plan;
    v_took := v_took || (v_plan #>> '{0,Execution Time}')::numeric;
  END LOOP;
  ms := (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(v_took) AS t);
  indexes := coalesce((SELECT string_agg(DISTINCT x #>> '{}', ', ')
                         FROM jsonb_path_query(v_plan, '$.**."Index Name"') AS x), 'none');
END $$;
