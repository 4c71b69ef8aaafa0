-- 022 three-axis envelope: the rows of v_ui_iu_three_axis_envelope in a table, for
-- whoever asks often or by what only a table has indexes for (Directus shows no
-- view). A cache: it may be emptied at any time, and the next refresh fills it.
--
-- Whatever changes a unit or its tags leaves marks, and a refresh looks at what is
-- marked. Nobody waits for anybody over it: marks are rows of their own, never one
-- row that two would write, and how many rows the table has is a sum of rows too.

-- No foreign key to the unit: a deleted unit's row goes with the next refresh. A
-- page has room for rows that are written again: most of them change in columns that
-- no index has, and then no index is written.
CREATE TABLE public.iu_three_axis_envelope (
  unit_id                   uuid NOT NULL,
  canonical_address         text NOT NULL,
  unit_kind                 text NOT NULL,
  section_type              text,
  lifecycle_status          text NOT NULL,
  axis_a_doc_code           text,
  axis_a_sort_order         integer,
  axis_a_section_code       text,
  axis_b_tags               jsonb NOT NULL,
  axis_b_tags_by_source     jsonb NOT NULL,
  axis_c_parent_id          uuid,
  axis_c_depth              integer NOT NULL,
  axis_c_ancestors          uuid[] NOT NULL,
  axis_c_ancestor_addresses text[] NOT NULL,
  created_at                timestamptz NOT NULL,
  updated_at                timestamptz NOT NULL,
  refreshed_at              timestamptz NOT NULL,
  refreshed_by              text NOT NULL,
  CONSTRAINT iu_three_axis_envelope_pkey PRIMARY KEY (unit_id)
) WITH (fillfactor = 90);
CREATE INDEX iu_three_axis_envelope_address_idx ON public.iu_three_axis_envelope (canonical_address);
CREATE INDEX iu_three_axis_envelope_lifecycle_idx ON public.iu_three_axis_envelope (lifecycle_status);
CREATE INDEX iu_three_axis_envelope_axis_a_idx
  ON public.iu_three_axis_envelope (axis_a_doc_code, axis_a_sort_order);
CREATE INDEX iu_three_axis_envelope_parent_idx ON public.iu_three_axis_envelope (axis_c_parent_id);
CREATE INDEX iu_three_axis_envelope_tags_idx ON public.iu_three_axis_envelope USING gin (axis_b_tags);
COMMENT ON TABLE public.iu_three_axis_envelope IS
  'The rows of v_ui_iu_three_axis_envelope as of the last refresh, and when and by whom each was written. A cache: '
  'nothing is lost with it. Written by fn_iu_three_axis_envelope_refresh; v_iu_three_axis_envelope_drift shows where '
  'it differs from the view.';
COMMENT ON COLUMN public.iu_three_axis_envelope.unit_id IS 'The unit';
COMMENT ON COLUMN public.iu_three_axis_envelope.canonical_address IS 'Its address';
COMMENT ON COLUMN public.iu_three_axis_envelope.unit_kind IS 'Its kind';
COMMENT ON COLUMN public.iu_three_axis_envelope.section_type IS 'The type of its section';
COMMENT ON COLUMN public.iu_three_axis_envelope.lifecycle_status IS
  'draft, enacted, superseded, retired or deprecated';
COMMENT ON COLUMN public.iu_three_axis_envelope.axis_a_doc_code IS 'The document that it is a part of';
COMMENT ON COLUMN public.iu_three_axis_envelope.axis_a_sort_order IS 'Its place in the document';
COMMENT ON COLUMN public.iu_three_axis_envelope.axis_a_section_code IS 'Number or mark of the section';
COMMENT ON COLUMN public.iu_three_axis_envelope.axis_b_tags IS 'Its tags by kind: {tag_kind: [tag_key, ...]}';
COMMENT ON COLUMN public.iu_three_axis_envelope.axis_b_tags_by_source IS
  'Its tags by source: {enrichment_source: [tag_key, ...]}';
COMMENT ON COLUMN public.iu_three_axis_envelope.axis_c_parent_id IS 'The unit that it is part of; NULL: a root';
COMMENT ON COLUMN public.iu_three_axis_envelope.axis_c_depth IS 'How many units are above it, at most 64';
COMMENT ON COLUMN public.iu_three_axis_envelope.axis_c_ancestors IS 'The units above it, the outermost first';
COMMENT ON COLUMN public.iu_three_axis_envelope.axis_c_ancestor_addresses IS 'Their addresses, in the same order';
COMMENT ON COLUMN public.iu_three_axis_envelope.created_at IS 'Since when the unit is there';
COMMENT ON COLUMN public.iu_three_axis_envelope.updated_at IS 'When the unit was changed last';
COMMENT ON COLUMN public.iu_three_axis_envelope.refreshed_at IS
  'Start of the transaction that wrote this row; a refresh that finds no difference does not write it';
COMMENT ON COLUMN public.iu_three_axis_envelope.refreshed_by IS 'Who had it written, as told by the caller';

-- One row for 100 units: a row for each would cost a statement on 10,000 units half of what it costs itself. Units are
-- not unique: a second mark of a unit would wait for the transaction that made the first, and one that is there may
-- have been read already by who is about to delete it.
CREATE TABLE public.iu_three_axis_envelope_mark (
  mark_id   bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  unit_ids  uuid[],
  marked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT iu_three_axis_envelope_mark_pkey PRIMARY KEY (mark_id)
);
COMMENT ON TABLE public.iu_three_axis_envelope_mark IS
  'Units whose row of iu_three_axis_envelope may differ from the view, one row for each statement and 100 units, '
  'written by triggers trg_iu_envelope_mark_* in the transaction of the change, deleted by the refresh that looked.';
COMMENT ON COLUMN public.iu_three_axis_envelope_mark.mark_id IS 'Number of the mark';
COMMENT ON COLUMN public.iu_three_axis_envelope_mark.unit_ids IS
  'The units, 1 to 100; NULL: every unit, since a table was emptied or was full before there were marks';
COMMENT ON COLUMN public.iu_three_axis_envelope_mark.marked_at IS 'When, by the clock';

CREATE TABLE public.iu_three_axis_envelope_tally (
  tally_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  delta    bigint NOT NULL,
  CONSTRAINT iu_three_axis_envelope_tally_pkey PRIMARY KEY (tally_id)
);
COMMENT ON TABLE public.iu_three_axis_envelope_tally IS
  'How many rows iu_three_axis_envelope has: the sum of delta. One row for each statement that changed the number, '
  'written by triggers trg_iu_envelope_tally_*, and put together by the runner now and then.';
COMMENT ON COLUMN public.iu_three_axis_envelope_tally.tally_id IS 'Number of the row';
COMMENT ON COLUMN public.iu_three_axis_envelope_tally.delta IS 'Rows that came, or with a minus rows that went';

-- What was there before the marks was never looked at.
INSERT INTO public.iu_three_axis_envelope_mark (unit_ids)
  SELECT NULL WHERE EXISTS (SELECT FROM public.information_unit);
