-- Markdown, for the reports of this and later migrations.

CREATE FUNCTION iu.fn_iu_markdown_row(p_cells text[], p_last text) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN '| ' || array_to_string(ARRAY(
    SELECT iu_core.markdown_text(coalesce(nullif(c.cell, ''), '-'), false)
      FROM unnest(p_cells) WITH ORDINALITY AS c (cell, n) ORDER BY c.n) || p_last, ' | ') || ' |';
COMMENT ON FUNCTION iu.fn_iu_markdown_row IS
  'A row of a Markdown table: its cells, and a last one that is Markdown already, with the texts of others in it as '
  'iu_core.markdown_text() makes them (NULL: no such cell). A cell that is NULL or empty is shown as "-". Raises '
  'nothing.';

CREATE FUNCTION iu.fn_iu_markdown_table(p_columns text[], p_rows text, p_without_rows text) RETURNS text
  LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
RETURN concat_ws(E'\n',
  iu.fn_iu_markdown_row(p_columns, NULL),
  '|' || repeat(' --- |', cardinality(p_columns)),
  coalesce(p_rows, format('| %s |%s', p_without_rows, repeat(' |', cardinality(p_columns) - 1))));
COMMENT ON FUNCTION iu.fn_iu_markdown_table IS
  'A Markdown table: names of its columns, its rows (as fn_iu_markdown_row makes them, one a line; NULL: none), and '
  'what stands in it where there are none. Raises nothing.';
