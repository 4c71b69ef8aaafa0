-- 016: decisions of reviewers, and the lifecycle of units.
--
-- A decision is bound to what it is about: an operation, the units, and the text
-- that was looked at. It lies in a schema of its own, which comes with the
-- extension and which nobody has a way into but the functions here; readers see it
-- in v_iu_review_decision.

SELECT iu.fn_iu_gate_register(16, 'iu_enact.allow_no_review_decision', 'never_flip',
  'Enacting without a review decision');

CREATE TABLE cutter_governance.manifest_envelope (
  envelope_id        uuid NOT NULL DEFAULT gen_random_uuid(),
  operation_kind     text NOT NULL,
  status             text NOT NULL,
  source_doc_ref     text,
  escalation_ref     uuid,
  cut_change_set_ref uuid,
  created_by         text NOT NULL,
  created_at         timestamptz NOT NULL DEFAULT now(),
  reviewer           text,
  reviewed_at        timestamptz,
  rationale          text,
  manifest_version   integer NOT NULL DEFAULT 1,
  manifest_digest    text,
  CONSTRAINT manifest_envelope_pkey PRIMARY KEY (envelope_id),
  CONSTRAINT manifest_envelope_status_chk CHECK (status IN ('proposed', 'applied', 'test')),
  CONSTRAINT manifest_envelope_version_chk CHECK (manifest_version >= 1)
);
COMMENT ON TABLE cutter_governance.manifest_envelope IS
  'What decisions are about: one row for each list of units and operation. Append-only.';
COMMENT ON COLUMN cutter_governance.manifest_envelope.envelope_id IS 'Identity; manifest_id of review_decision';
COMMENT ON COLUMN cutter_governance.manifest_envelope.operation_kind IS
  'enact, retire, supersede, split, merge or cut; first_cut is another name of cut';
COMMENT ON COLUMN cutter_governance.manifest_envelope.status IS 'proposed, applied or test';
COMMENT ON COLUMN cutter_governance.manifest_envelope.source_doc_ref IS 'The document that is cut; NULL: none';
COMMENT ON COLUMN cutter_governance.manifest_envelope.escalation_ref IS 'Free for the platform';
COMMENT ON COLUMN cutter_governance.manifest_envelope.cut_change_set_ref IS 'Free for the platform';
COMMENT ON COLUMN cutter_governance.manifest_envelope.created_by IS 'Who recorded it, as told by the caller';
COMMENT ON COLUMN cutter_governance.manifest_envelope.created_at IS 'Start of the transaction that recorded it';
COMMENT ON COLUMN cutter_governance.manifest_envelope.reviewer IS 'Who reviewed it, as told by the caller';
COMMENT ON COLUMN cutter_governance.manifest_envelope.reviewed_at IS 'When it was reviewed';
COMMENT ON COLUMN cutter_governance.manifest_envelope.rationale IS 'Why it was decided so';
COMMENT ON COLUMN cutter_governance.manifest_envelope.manifest_version IS 'From 1 on';
COMMENT ON COLUMN cutter_governance.manifest_envelope.manifest_digest IS
  'SHA-256 in hex of its units: address, ":" and body_digest of each, sorted by address, joined with "|"';

CREATE TABLE cutter_governance.manifest_unit_block (
  envelope_id       uuid NOT NULL,
  unit_local_id     text NOT NULL,
  canonical_address text NOT NULL,
  unit_id           uuid,
  unit_kind         text,
  section_type      text,
  title             text,
  body_digest       text,
  sort_order        integer,
  created_at        timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT manifest_unit_block_pkey PRIMARY KEY (envelope_id, unit_local_id),
  CONSTRAINT manifest_unit_block_envelope_id_fkey FOREIGN KEY (envelope_id)
    REFERENCES cutter_governance.manifest_envelope (envelope_id)
);
CREATE INDEX manifest_unit_block_address_idx
  ON cutter_governance.manifest_unit_block (envelope_id, canonical_address);
COMMENT ON TABLE cutter_governance.manifest_unit_block IS 'The units of a manifest, one row each. Append-only.';
COMMENT ON COLUMN cutter_governance.manifest_unit_block.envelope_id IS 'The manifest';
COMMENT ON COLUMN cutter_governance.manifest_unit_block.unit_local_id IS 'Its number in the manifest';
COMMENT ON COLUMN cutter_governance.manifest_unit_block.canonical_address IS 'Address of the unit';
COMMENT ON COLUMN cutter_governance.manifest_unit_block.unit_id IS
  'The unit; NULL: it did not exist when the decision was recorded (cut, children of a split)';
COMMENT ON COLUMN cutter_governance.manifest_unit_block.unit_kind IS 'Its kind then';
COMMENT ON COLUMN cutter_governance.manifest_unit_block.section_type IS 'Its section type then';
COMMENT ON COLUMN cutter_governance.manifest_unit_block.title IS 'Its title then';
COMMENT ON COLUMN cutter_governance.manifest_unit_block.body_digest IS
  'content_hash of the text that was looked at: to enact, of the newest version; otherwise of the one that counts';
COMMENT ON COLUMN cutter_governance.manifest_unit_block.sort_order IS 'Its place in the manifest, from 1 on';
COMMENT ON COLUMN cutter_governance.manifest_unit_block.created_at IS 'Start of the transaction that recorded it';

CREATE TABLE cutter_governance.review_decision (
  review_decision_id               uuid NOT NULL DEFAULT gen_random_uuid(),
  governance_event_kind            text NOT NULL,
  manifest_id                      uuid NOT NULL,
  manifest_version                 integer NOT NULL,
  manifest_unit_local_id           text,
  review_scope                     text NOT NULL,
  status                           text NOT NULL,
  verdict                          text NOT NULL,
  findings                         jsonb NOT NULL,
  reviewer_class                   text NOT NULL,
  reviewer_identity                jsonb NOT NULL,
  reviewer_independence_evidence   jsonb,
  risk_class_assessment            text NOT NULL,
  escalation_ref                   uuid,
  cut_change_set_ref               uuid,
  prior_review_decision_id         uuid,
  superseded_by_review_decision_id uuid,
  decision_at                      timestamptz NOT NULL,
  decided_by                       text NOT NULL,
  cross_signed_by_dot_verifier     boolean NOT NULL,
  version                          integer NOT NULL,
  tool_revision                    text,
  review_duration_ms               bigint,
  created_at                       timestamptz NOT NULL DEFAULT now(),
  updated_at                       timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT review_decision_pkey PRIMARY KEY (review_decision_id),
  CONSTRAINT review_decision_manifest_id_fkey FOREIGN KEY (manifest_id)
    REFERENCES cutter_governance.manifest_envelope (envelope_id),
  CONSTRAINT review_decision_manifest_unit_fkey FOREIGN KEY (manifest_id, manifest_unit_local_id)
    REFERENCES cutter_governance.manifest_unit_block (envelope_id, unit_local_id),
  CONSTRAINT review_decision_prior_fkey FOREIGN KEY (prior_review_decision_id)
    REFERENCES cutter_governance.review_decision (review_decision_id),
  CONSTRAINT review_decision_superseded_by_fkey FOREIGN KEY (superseded_by_review_decision_id)
    REFERENCES cutter_governance.review_decision (review_decision_id)
);
CREATE INDEX review_decision_manifest_idx ON cutter_governance.review_decision (manifest_id);
COMMENT ON TABLE cutter_governance.review_decision IS
  'What a reviewer decided on a manifest, one row a decision, written by fn_iu_review_decision_record. Append-only, '
  'but that a later decision takes the place of one, once.';
COMMENT ON COLUMN cutter_governance.review_decision.review_decision_id IS
  'Identity, which functions that need a decision are given';
COMMENT ON COLUMN cutter_governance.review_decision.governance_event_kind IS 'The operation that is decided on';
COMMENT ON COLUMN cutter_governance.review_decision.manifest_id IS 'The manifest';
COMMENT ON COLUMN cutter_governance.review_decision.manifest_version IS 'Its version';
COMMENT ON COLUMN cutter_governance.review_decision.manifest_unit_local_id IS
  'The one unit that is decided on; NULL: all of the manifest';
COMMENT ON COLUMN cutter_governance.review_decision.review_scope IS 'manifest or unit';
COMMENT ON COLUMN cutter_governance.review_decision.status IS 'decided; anything else decides nothing';
COMMENT ON COLUMN cutter_governance.review_decision.verdict IS
  'approve or reject; anything but approve approves nothing';
COMMENT ON COLUMN cutter_governance.review_decision.findings IS 'Array: what the reviewer found';
COMMENT ON COLUMN cutter_governance.review_decision.reviewer_class IS 'human, or as the caller says';
COMMENT ON COLUMN cutter_governance.review_decision.reviewer_identity IS
  'Object: actor as told, login and login_oid, role and role_oid in whose name it was recorded';
COMMENT ON COLUMN cutter_governance.review_decision.reviewer_independence_evidence IS 'Free for the platform';
COMMENT ON COLUMN cutter_governance.review_decision.risk_class_assessment IS 'normal, or as the caller says';
COMMENT ON COLUMN cutter_governance.review_decision.escalation_ref IS 'Free for the platform';
COMMENT ON COLUMN cutter_governance.review_decision.cut_change_set_ref IS 'Free for the platform';
COMMENT ON COLUMN cutter_governance.review_decision.prior_review_decision_id IS 'The decision whose place it takes';
COMMENT ON COLUMN cutter_governance.review_decision.superseded_by_review_decision_id IS
  'The decision that took its place; from then on this one decides nothing';
COMMENT ON COLUMN cutter_governance.review_decision.decision_at IS 'When it was decided';
COMMENT ON COLUMN cutter_governance.review_decision.decided_by IS 'Who decided, as told by the caller';
COMMENT ON COLUMN cutter_governance.review_decision.cross_signed_by_dot_verifier IS 'Free for the platform; false';
COMMENT ON COLUMN cutter_governance.review_decision.version IS 'From 1 on';
COMMENT ON COLUMN cutter_governance.review_decision.tool_revision IS 'Free for the platform';
COMMENT ON COLUMN cutter_governance.review_decision.review_duration_ms IS 'Free for the platform, in ms';
COMMENT ON COLUMN cutter_governance.review_decision.created_at IS 'Start of the transaction that recorded it';
COMMENT ON COLUMN cutter_governance.review_decision.updated_at IS 'When another decision took its place';

CREATE FUNCTION iu.fn_iu_review_decision_once() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF OLD.superseded_by_review_decision_id IS NOT NULL OR NEW.superseded_by_review_decision_id IS NULL
     OR to_jsonb(OLD) - '{superseded_by_review_decision_id,updated_at}'::text[]
        <> to_jsonb(NEW) - '{superseded_by_review_decision_id,updated_at}'::text[] THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'a review decision does not change',
      DETAIL = format('Decision: %s.', OLD.review_decision_id),
      HINT = 'Record another one, with this one as p_prior.', CONSTRAINT = 'iu_review_decision_unchanged';
  END IF;
  RETURN NEW;
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_review_decision_once IS
  'Row trigger of review_decision: nothing changes but superseded_by_review_decision_id and updated_at, once (42501).';

CREATE TRIGGER trg_review_decision_once
  BEFORE UPDATE ON cutter_governance.review_decision
  FOR EACH ROW EXECUTE FUNCTION iu.fn_iu_review_decision_once();
CREATE TRIGGER trg_review_decision_append_only
  BEFORE DELETE OR TRUNCATE ON cutter_governance.review_decision
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
CREATE TRIGGER trg_manifest_envelope_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON cutter_governance.manifest_envelope
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
CREATE TRIGGER trg_manifest_unit_block_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON cutter_governance.manifest_unit_block
  FOR EACH STATEMENT EXECUTE FUNCTION iu.fn_iu_append_only();
ALTER TABLE cutter_governance.review_decision
  ENABLE ALWAYS TRIGGER trg_review_decision_once, ENABLE ALWAYS TRIGGER trg_review_decision_append_only;
ALTER TABLE cutter_governance.manifest_envelope ENABLE ALWAYS TRIGGER trg_manifest_envelope_append_only;
ALTER TABLE cutter_governance.manifest_unit_block ENABLE ALWAYS TRIGGER trg_manifest_unit_block_append_only;
COMMENT ON TRIGGER trg_review_decision_once ON cutter_governance.review_decision IS
  'A decision does not change, but that another takes its place, once.';
COMMENT ON TRIGGER trg_review_decision_append_only ON cutter_governance.review_decision IS
  'Keeps the decisions append-only.';
COMMENT ON TRIGGER trg_manifest_envelope_append_only ON cutter_governance.manifest_envelope IS
  'Keeps what was decided on as it was.';
COMMENT ON TRIGGER trg_manifest_unit_block_append_only ON cutter_governance.manifest_unit_block IS
  'Keeps what was decided on as it was.';

CREATE VIEW public.v_iu_review_decision AS
  SELECT d.review_decision_id, e.operation_kind AS operation, d.verdict, d.status, d.decided_by, d.decision_at,
         d.reviewer_class, d.reviewer_identity ->> 'login' AS login, e.rationale, d.findings, d.risk_class_assessment,
         d.prior_review_decision_id, d.superseded_by_review_decision_id, d.manifest_id,
         b.canonical_addresses, b.body_digests
    FROM cutter_governance.review_decision d
    JOIN cutter_governance.manifest_envelope e ON e.envelope_id = d.manifest_id
    CROSS JOIN LATERAL (
      SELECT array_agg(x.canonical_address ORDER BY x.sort_order, x.unit_local_id COLLATE "C") AS canonical_addresses,
             array_agg(x.body_digest ORDER BY x.sort_order, x.unit_local_id COLLATE "C") AS body_digests
        FROM cutter_governance.manifest_unit_block x
       WHERE x.envelope_id = d.manifest_id
         AND x.unit_local_id = coalesce(d.manifest_unit_local_id, x.unit_local_id)) AS b;
COMMENT ON VIEW public.v_iu_review_decision IS
  'The decisions of reviewers, one row each: id, operation, verdict (approve, reject), status, who and when, class and '
  'login of the reviewer, why, what was found, risk, the decision before it and the one that took its place, the units '
  'and the digests of the texts that were looked at, in one order.';
