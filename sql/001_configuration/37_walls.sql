-- All that fn_iu_conformance() tells of the walls.

CREATE FUNCTION iu.fn_iu_walls()
  RETURNS TABLE (object_class text, object_name text, detail text)
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT * FROM iu.fn_iu_planted_names()
  UNION ALL SELECT * FROM iu.fn_iu_breached_tables()
  UNION ALL SELECT * FROM iu.fn_iu_breached_rights()
  UNION ALL SELECT * FROM iu.fn_iu_breached_partitions()
$function$;
COMMENT ON FUNCTION iu.fn_iu_walls IS
  'What strangers, roles that are neither iu_core_owner nor superusers, could use to run something with its rights, or '
  'have planted: objects of theirs with a governed name in whatever schema, what they attached to governed tables and '
  'types, what they have in schema iu or iu_core, rights that nobody should have there, and partitions that are not as '
  'their table. No row: the walls stand.';
