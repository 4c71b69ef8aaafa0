-- What Directus and Qdrant hold, as tables; and the figures that the change is judged
-- by beside those that migrations brought. Run by psql as a superuser. Variables: directus
-- and qdrant, the origins; api_key, of Qdrant; chunks and documents, its collections.
CREATE SCHEMA directus;
CREATE SCHEMA qdrant;
CREATE SERVER directus FOREIGN DATA WRAPPER directus_fdw OPTIONS (url :'directus');
CREATE SERVER qdrant FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url :'qdrant');
CREATE USER MAPPING FOR postgres SERVER directus OPTIONS (token 'iu-reader-token');
CREATE USER MAPPING FOR postgres SERVER qdrant OPTIONS (api_key :'api_key');
CREATE USER MAPPING FOR iu_core_owner SERVER qdrant OPTIONS (api_key :'api_key');
IMPORT FOREIGN SCHEMA api FROM SERVER qdrant INTO qdrant;
CREATE FOREIGN TABLE qdrant.chunks (id text, payload jsonb)
  SERVER qdrant OPTIONS (resource 'points', collection :'chunks');
CREATE FOREIGN TABLE directus.envelope (unit_id uuid, axis_a_doc_code text)
  SERVER directus OPTIONS (resource 'items', collection 'iu_three_axis_envelope', id_field 'unit_id');
GRANT USAGE ON SCHEMA qdrant, directus TO iu_core_owner;
GRANT SELECT ON qdrant.collections TO iu_core_owner;

CREATE SCHEMA figure;
SELECT format('CREATE VIEW figure.chunks AS SELECT points AS value FROM qdrant.collections WHERE collection = %L',
  :'chunks') \gexec
SELECT format('CREATE VIEW figure.documents AS SELECT points AS value FROM qdrant.collections WHERE collection = %L',
  :'documents') \gexec
CREATE VIEW figure.axes AS
  SELECT string_agg(a.units::text, '/' ORDER BY a.doc) AS value
    FROM (SELECT e.axis_a_doc_code AS doc, count(*) AS units FROM public.iu_three_axis_envelope e
           WHERE e.axis_a_doc_code IN ('DIEU-28', 'DIEU-32', 'DIEU-35') GROUP BY 1) AS a;
CREATE VIEW figure.axes_in_directus AS
  SELECT string_agg(a.units::text, '/' ORDER BY a.doc) AS value
    FROM (SELECT e.axis_a_doc_code AS doc, count(*) AS units FROM directus.envelope e
           WHERE e.axis_a_doc_code IN ('DIEU-28', 'DIEU-32', 'DIEU-35') GROUP BY 1) AS a;
CREATE VIEW figure.commands AS SELECT count(*) AS value FROM public.dot_iu_command_catalog;
GRANT USAGE ON SCHEMA figure TO iu_core_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA figure TO iu_core_owner;

SELECT count(fn_iu_surface_register(s.code, s.label, CASE WHEN s.of IS NULL THEN 'external' ELSE 'view' END,
    'invariant', 'loader', 'what the change is judged by', s.of::regclass, p_layer => s.layer, p_sort_order => s.place,
    p_timeout_ms => 60000)) AS surfaces
  FROM (VALUES
    ('qdrant.chunks', 'Qdrant ' || :'chunks', 'figure.chunks', 'Qdrant', 18),
    ('qdrant.documents', 'Qdrant ' || :'documents', 'figure.documents', 'Qdrant', 19),
    ('axes', 'DIEU-28/32/35 envelope axes', 'figure.axes', 'PG', 600),
    ('directus.axes', 'Directus: DIEU-28/32/35 envelope axes', 'figure.axes_in_directus', 'Directus', 601),
    ('commands', 'DOT catalog', 'figure.commands', 'PG', 700),
    ('tests', 'Tests passing', NULL, 'PG', 850)) AS s (code, label, of, layer, place);

-- What was planned is in Qdrant: the observation says so, and from now on it is counted.
SELECT fn_iu_vector_sync_observe(:'chunks', 'qdrant.chunks', 'loader', false) ->> 'indexed' AS indexed;
SELECT fn_iu_health_bind('qdrant_collection', 'qdrant.collections', 'loader', 'search is live') ->> 'status' AS counted;
