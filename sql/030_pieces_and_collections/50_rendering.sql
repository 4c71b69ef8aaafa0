-- Reading a collection: its rows, its text as Markdown, its text as HTML. The text of
-- a piece is that of the version that counts.

CREATE FUNCTION iu.fn_iu_collection_render(p_collection_id uuid)
  RETURNS TABLE (piece_order integer, piece_role text, iu_id uuid, canonical_address text, title text, body text,
                 lifecycle_status text, is_deleted boolean, version_id uuid, content_hash text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN QUERY
    SELECT m.piece_order, m.piece_role, u.id, u.canonical_address, u.title, v.body, u.lifecycle_status,
           u.deleted_at IS NOT NULL, v.id, v.content_hash
      FROM public.iu_piece_membership m
      JOIN public.iu_piece_collection c ON c.id = m.collection_id AND c.deleted_at IS NULL
      JOIN public.information_unit u ON u.id = m.iu_id
      JOIN public.unit_version v ON v.id = u.version_anchor_ref
     WHERE m.collection_id = p_collection_id AND m.membership_status = 'active'
     ORDER BY m.piece_order;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_render IS
  'What public.fn_iu_collection_render hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_collection_render(p_collection_id uuid)
  RETURNS TABLE (piece_order integer, piece_role text, iu_id uuid, canonical_address text, title text, body text,
                 lifecycle_status text, is_deleted boolean, version_id uuid, content_hash text)
  LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT * FROM iu.fn_iu_collection_render(p_collection_id)
   WHERE iu_core.require_role('{iu_core_reader,iu_core_writer,iu_core_agent}') ORDER BY 1;
END;
COMMENT ON FUNCTION public.fn_iu_collection_render IS
  'The pieces of a collection in order, each with the text of the version that counts: (piece_order, piece_role, '
  'iu_id, canonical_address, title, body, lifecycle_status, is_deleted, version_id, content_hash). No row where there '
  'is no such collection, or it is deleted. Raises nothing of its own.';

-- Steps are counted; a title page and an introduction stand without a heading of
-- their own. What is part of a piece before it stands one level deeper than that one,
-- as deep as there are headings.
CREATE FUNCTION iu.fn_iu_collection_parts(p_collection_id uuid)
  RETURNS TABLE (n integer, piece_role text, canonical_address text, heading text, heading_level integer, body text)
  LANGUAGE plpgsql STABLE
AS $function$
BEGIN
  RETURN QUERY
    WITH piece AS MATERIALIZED (
      SELECT r.*, r.piece_role NOT IN ('title', 'intro') AS has_heading
        FROM iu.fn_iu_collection_render(p_collection_id) AS r WHERE NOT r.is_deleted
    ), above AS (
      SELECT p.iu_id, count(*) AS headings
        FROM piece p
        JOIN public.iu_tree_path t ON t.unit_id = p.iu_id
        CROSS JOIN LATERAL unnest(t.path_ids) AS a (iu_id)
        JOIN piece o ON o.iu_id = a.iu_id AND o.has_heading AND o.piece_order < p.piece_order
       GROUP BY p.iu_id
    )
    SELECT p.piece_order, p.piece_role, p.canonical_address,
           CASE WHEN p.piece_role = 'step'
                THEN count(*) FILTER (WHERE p.piece_role = 'step') OVER (ORDER BY p.piece_order) || '. ' || p.title
                WHEN p.has_heading THEN p.title END,
           (2 + least(coalesce(a.headings, 0), 4))::integer,
           btrim(replace(p.body, E'\r\n', E'\n'), E'\n')
      FROM piece p LEFT JOIN above a ON a.iu_id = p.iu_id;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_collection_parts IS
  'For functions that pin its search_path: the pieces of a collection as they are rendered: order, role, address, '
  'heading (NULL: none), its level (2 to 6), text. Deleted pieces are left out.';

CREATE FUNCTION iu.fn_iu_render_file(p_collection_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_collection CONSTANT public.iu_piece_collection := iu.fn_iu_collection_get(p_collection_id);
BEGIN
  RETURN concat_ws(E'\n\n', '# ' || iu_core.markdown_text(v_collection.title, false),
      iu_core.markdown_text(v_collection.description, true),
      (SELECT string_agg(concat_ws(E'\n\n',
                           repeat('#', p.heading_level) || ' ' || iu_core.markdown_text(p.heading, false),
                           nullif(p.body, '')), E'\n\n' ORDER BY p.n)
         FROM iu.fn_iu_collection_parts(p_collection_id) AS p
        WHERE p.heading IS NOT NULL OR p.body <> '')) || E'\n';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_render_file IS
  'What public.fn_iu_render_file hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_render_file(p_collection_id uuid) RETURNS text
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_render_file(p_collection_id) END;
COMMENT ON FUNCTION public.fn_iu_render_file IS
  'A collection as Markdown: its title as a heading of the first level, its description, then its pieces in order, '
  'each under its title. That is of the second level, and where a unit is part of units that stand before it with '
  'headings of their own, by one deeper for each of them, down to the sixth; steps are numbered; a title page and an '
  'introduction have no heading. Titles are escaped; the texts of pieces stand as they are, since they may be '
  'Markdown. Deleted pieces are left out. The same collection and texts give the same bytes. SQLSTATE P0002: no such '
  'collection.';

CREATE FUNCTION iu.fn_iu_html_text(p_text text) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN replace(replace(replace(replace(replace(p_text, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'),
               '''', '&#39;');
COMMENT ON FUNCTION iu.fn_iu_html_text IS
  'A text of somebody''s in HTML, as it is: nothing in it is markup, also between quotation marks. NULL for NULL. '
  'Raises nothing.';

CREATE FUNCTION iu.fn_iu_html_paragraphs(p_text text) RETURNS text
  LANGUAGE sql IMMUTABLE
RETURN '<p>' || regexp_replace(regexp_replace(regexp_replace(iu.fn_iu_html_text(p_text),
  '\n[ \t]+(?=\n)', E'\n', 'g'), '([^\n])\n(?=[^\n])', E'\\1<br>\n', 'g'), '\n\n+', E'</p>\n<p>', 'g') || '</p>';
COMMENT ON FUNCTION iu.fn_iu_html_paragraphs IS
  'A text of several lines in HTML: a paragraph where a line is empty, a break where a line ends. NULL for NULL. '
  'Raises nothing.';

CREATE FUNCTION iu.fn_iu_render_html(p_collection_id uuid) RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_collection CONSTANT public.iu_piece_collection := iu.fn_iu_collection_get(p_collection_id);
BEGIN
  RETURN concat_ws(E'\n',
    format('<article data-collection="%s">', iu.fn_iu_html_text(v_collection.collection_key)),
    format('<h1>%s</h1>', iu.fn_iu_html_text(v_collection.title)),
    iu.fn_iu_html_paragraphs(v_collection.description),
    (SELECT string_agg(concat_ws(E'\n',
              format('<section class="%s" data-address="%s">', iu.fn_iu_html_text(p.piece_role),
                     iu.fn_iu_html_text(p.canonical_address)),
              format('<h%s>', p.heading_level) || iu.fn_iu_html_text(p.heading) || format('</h%s>', p.heading_level),
              iu.fn_iu_html_paragraphs(nullif(p.body, '')), '</section>'), E'\n' ORDER BY p.n)
       FROM iu.fn_iu_collection_parts(p_collection_id) AS p),
    '</article>') || E'\n';
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_render_html IS
  'What public.fn_iu_render_html hands on to, with the rights of iu_core_owner.';

CREATE FUNCTION public.fn_iu_render_html(p_collection_id uuid) RETURNS text
  LANGUAGE sql STABLE
RETURN CASE WHEN iu_core.require_role('{iu_core_reader,iu_core_writer,iu_core_agent}') THEN
  iu.fn_iu_render_html(p_collection_id) END;
COMMENT ON FUNCTION public.fn_iu_render_html IS
  'A collection as HTML: an article with a section for each piece, whose class is its role; headings and order as '
  'fn_iu_render_file has them. Every text is escaped: nothing that somebody wrote is markup; an empty line begins a '
  'paragraph. SQLSTATE P0002: no such collection.';
