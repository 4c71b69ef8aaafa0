-- Who may read and use what 016 brings.

GRANT SELECT ON
    public.v_iu_review_decision, public.iu_lifecycle_vocab, public.iu_lifecycle_log
  TO iu_core_reader;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_review_decision_check, iu.fn_iu_review_decision_check
  TO iu_core_reader, iu_core_writer, iu_core_agent;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_review_decision_record, iu.fn_iu_review_decision_record
  TO iu_core_operator;
GRANT EXECUTE ON FUNCTION
    public.fn_iu_enact, iu.fn_iu_enact,
    public.fn_iu_enact_many, iu.fn_iu_enact_many
  TO iu_core_writer, iu_core_agent;
