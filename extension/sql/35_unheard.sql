-- Events that were emitted and not written: see core/unheard.c.

CREATE FUNCTION count_unheard(event_domain text, event_type text, reason text) RETURNS void
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_count_unheard';
COMMENT ON FUNCTION count_unheard(text, text, text) IS
  'For the emitters: counts an event that was not written (its domain and type, and unknown, inactive or reserved), '
  'and tells the client of it by a NOTICE, once a statement. Raises nothing.';

CREATE FUNCTION forget_unheard(event_domain text, event_type text) RETURNS void
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'iu_forget_unheard';
COMMENT ON FUNCTION forget_unheard(text, text) IS
  'Forgets what was counted of an event type, which is registered now. Raises nothing.';

CREATE FUNCTION unheard_events(
    OUT event_domain text, OUT event_type text, OUT reason text, OUT times bigint, OUT last_at timestamptz)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'iu_unheard_events';
COMMENT ON FUNCTION unheard_events() IS
  'What the view unheard_events shows; nothing where the library is not in shared_preload_libraries. Raises nothing.';

CREATE VIEW unheard_events AS
  SELECT u.event_domain, u.event_type, u.reason, u.times, u.last_at FROM unheard_events() u;
COMMENT ON VIEW unheard_events IS
  'Events of this database that were emitted and not written since the server was started: domain, type, reason '
  '(unknown: no such type is registered; inactive: it is switched off; reserved: the product alone emits it), how '
  'often, when last. Of all databases, the 64 types that were tried last. What was rolled back is counted as well.';
