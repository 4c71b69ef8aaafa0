-- Reading a view or a query for invariants and surfaces.

-- The settings of the function make the answer the same whoever asks: texts of
-- times and numbers have one notation, so that a key is the same key again, and
-- a policy that would leave rows out is an error.
CREATE FUNCTION iu.fn_iu_read(
    p_query text, p_timeout_ms integer, p_with_rights boolean, OUT began_at timestamptz, OUT ms numeric,
    OUT result jsonb, OUT error_code text, OUT error text)
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  SET row_security = off
  SET timezone = 'UTC'
  SET datestyle = 'ISO, YMD'
  SET intervalstyle = 'postgres'
  SET extra_float_digits = 1
  SET bytea_output = 'hex'
AS $function$
DECLARE
  v_began  constant timestamptz := iu_core.steady_clock();
  v_before bigint;
  v_read   boolean := false;
  v_hint   text;
BEGIN
  began_at := clock_timestamp();
  v_before := iu_core.cancel_within(p_timeout_ms);
  BEGIN
    IF p_with_rights THEN
      EXECUTE p_query INTO result;
    ELSE
      result := iu_core.read_with_no_rights(p_query);
    END IF;
    v_read := true;
    -- Ends the block, which undoes all that the query did: its locks, its settings, what it wrote.
    RAISE SQLSTATE 'IU000' USING
      MESSAGE = 'read';
  EXCEPTION
    WHEN query_canceled THEN
      -- Otherwise somebody else cancelled the query.
      IF NOT iu_core.cancel_no_more(v_before) THEN
        RAISE;
      END IF;
      error_code := SQLSTATE;
      error := format('no answer within %s ms', p_timeout_ms);
    WHEN OTHERS OR assert_failure THEN
      PERFORM iu_core.cancel_no_more(v_before);
      IF NOT v_read THEN
        GET STACKED DIAGNOSTICS v_hint = PG_EXCEPTION_HINT;
        error_code := SQLSTATE;
        error := format('%s: %s', SQLSTATE, SQLERRM) || coalesce(' Hint: ' || nullif(v_hint, ''), '');
      END IF;
  END;
  ms := round((extract(epoch FROM iu_core.steady_clock() - v_began) * 1000)::numeric, 3);
END
$function$;
COMMENT ON FUNCTION iu.fn_iu_read IS
  'For invariants and surfaces: runs a query that returns one jsonb, within so many ms, with the rights of the caller '
  '(true: a query of a migration, over what is iu_core_owner''s) or with none (false: a view of somebody''s), in time '
  'zone UTC with ISO dates, and undoes what it did; a policy that would leave out rows is an error. Returns when it '
  'began, how many ms it took, and what it found, or the SQLSTATE (error_code) and words (error, with the hint that '
  'came with it) of why not. Raises nothing but a cancel by somebody else (57014).';
