-- What Directus serves in the tests: a table for each kind of key and of value.
-- The test run reads it as user directus; where Directus is a stand-in,
-- iu_stand_in() gives it the same in the way Directus shows it.
CREATE TABLE iu_documents (id integer PRIMARY KEY, title text NOT NULL, category text);
INSERT INTO iu_documents SELECT n, 'Document ' || n, (ARRAY['alpha', 'beta', 'gamma', NULL])[1 + n % 4]
  FROM generate_series(1, 163) n;
CREATE TABLE iu_empty (id integer PRIMARY KEY, title text);

-- more than a page
CREATE TABLE iu_ints (id integer PRIMARY KEY, n integer);
INSERT INTO iu_ints SELECT n, n % 7 FROM generate_series(1, 1234) n;
-- for a test that changes it
CREATE TABLE iu_moving (id integer PRIMARY KEY, n integer);
INSERT INTO iu_moving SELECT n, n % 7 FROM generate_series(1, 300) n;
-- keys that a double does not hold
CREATE TABLE iu_bigs (id bigint PRIMARY KEY, n integer);
INSERT INTO iu_bigs SELECT 9007199254740990 + n, n FROM generate_series(1, 300) n;
CREATE TABLE iu_uuids (id uuid PRIMARY KEY, label text);
INSERT INTO iu_uuids SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
  'u' || n FROM generate_series(1, 2600) n;
-- a key that is not called id, with values that mean something elsewhere
CREATE TABLE iu_codes (code text PRIMARY KEY, meaning text);
INSERT INTO iu_codes SELECT code,
  'means ' || code FROM unnest(ARRAY['A/1', 'B/2', '7', '007', 'a,b', '"q" & <b> ü%', ' x', '', '.', 'true', 'null',
  'NULL', 'NaN', '$NOW', '$CURRENT_USER', '{}', '1e3']) code;
CREATE TABLE iu_types (id integer PRIMARY KEY, i2 smallint, i4 integer, i8 bigint, num numeric(30, 10), r4 real,
	r8 double precision, flag boolean, s varchar(40), t text, u uuid, ts timestamp, tz timestamptz, d date, tm time,
	j json, jb jsonb, ia integer[], ta text[], filter text);
INSERT INTO iu_types VALUES
	(1, 12, 2147483647, 9223372036854775807, 12345678901234567890.0123456789, 0.1, 0.1, true, 'sü', 'text',
		'00000000-0000-4000-8000-00000000000a',
		'2024-01-02 03:04:05', '2024-01-02 03:04:05.678+00', '2024-01-02', '03:04:05',
		'{"a": [1, 2]}', '{"a": {"b": null}}', '{1,2,NULL}', '{a,"b c"}', 'f'),
	(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(3, -1, 0, -9223372036854775808, 0, 1e30, 1e300, false, '', '', '00000000-0000-4000-8000-00000000000b',
		'2024-06-02 00:00:00', '2024-06-02 00:00:00+02', '0001-01-01', '00:00', '[]', '7', '{}', '{}', '');
CREATE TABLE iu_one (id integer PRIMARY KEY, v text); -- a singleton
INSERT INTO iu_one VALUES (1, 'only');
CREATE TABLE iu_parent (id integer PRIMARY KEY, name text);
INSERT INTO iu_parent VALUES (1, 'p'), (2, 'q');
CREATE TABLE iu_child (id integer PRIMARY KEY, parent integer REFERENCES iu_parent);
INSERT INTO iu_child SELECT n, 1 FROM generate_series(1, 150) n;
CREATE TABLE iu_secret (id integer PRIMARY KEY); -- nobody but an administrator may read it
INSERT INTO iu_secret VALUES (1), (2);
CREATE TABLE iu_legacy (id bigint PRIMARY KEY, name text); -- not registered
INSERT INTO iu_legacy SELECT n, 'legacy ' || n FROM generate_series(1, 12) n;
CREATE TABLE iu_nopk (a integer);
CREATE VIEW iu_view AS SELECT 1 AS id;

-- As Directus shows a row: what a double does not hold, as strings.
CREATE FUNCTION iu_shown(p_row anyelement) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_object_agg(a.attname, CASE
			WHEN a.atttypid IN ('bigint'::regtype, 'numeric'::regtype) THEN to_jsonb(r.value ->> a.attname)
			WHEN a.atttypid = 'timestamptz'::regtype
     THEN to_jsonb(to_char((r.value ->> a.attname)::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
			ELSE r.value -> a.attname END)
	  FROM (SELECT to_jsonb(p_row) AS value) r, pg_catalog.pg_attribute a
	 WHERE a.attrelid = (SELECT typrelid FROM pg_catalog.pg_type WHERE oid = pg_typeof(p_row)) AND a.attnum > 0
    AND NOT a.attisdropped $$;

CREATE FUNCTION iu_stand_in() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_table       record;
	v_rows        jsonb;
	v_collections jsonb := '{}';
BEGIN
	FOR v_table IN
		SELECT c.oid::regclass AS name, a.attname AS key,
			   (SELECT jsonb_object_agg(t.attname, format_type(t.atttypid, NULL))
				  FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attnum > 0) AS types
		  FROM pg_index i
		  JOIN pg_class c ON c.oid = i.indrelid
		  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
		 WHERE i.indisprimary AND c.relname LIKE 'iu\_%'
	LOOP
		EXECUTE format('SELECT coalesce(jsonb_agg(iu_shown(the_row)), ''[]'') FROM %s the_row', v_table.name)
		   INTO v_rows;
		v_collections := v_collections || jsonb_build_object(v_table.name, jsonb_build_object(
			'key', v_table.key, 'types', v_table.types, 'singleton', v_table.name::text = 'iu_one', 'rows', v_rows));
	END LOOP;
	RETURN jsonb_build_object('collections', v_collections, 'relations', jsonb_build_array(jsonb_build_object(
		'many', 'iu_child', 'field', 'parent', 'one', 'iu_parent', 'alias', 'children')), 'tokens', jsonb_build_object(
		'iu-admin-token', '*',
		'iu-reader-token',
    (SELECT jsonb_object_agg(name, '{}'::jsonb) FROM jsonb_object_keys(v_collections) name
    WHERE name NOT IN ('iu_secret', 'iu_legacy')),
		'iu-limited-token', '{"iu_documents": {"rule": {"category": {"_eq": "alpha"}}}}'::jsonb,
		'iu-fields-token', '{"iu_documents": {"fields": ["id", "title"]}}'::jsonb,
		'iu-nobody-token', '{}'::jsonb));
END $$;
