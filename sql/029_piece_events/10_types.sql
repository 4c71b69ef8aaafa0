-- 029 piece events: what the lifecycle does to a unit is told as an event of domain
-- piece; and the types of events that the platform's systems and its staging have.

-- Nothing of the product emits these yet. Those of staging are inactive until
-- something does.
INSERT INTO public.event_type_registry
  (event_domain, event_type, event_stream, delivery_lane, default_severity, description, active) VALUES
  ('system',  'issue_opened',   'alert',  'immediate', 'warning', 'an issue of the system was opened', true),
  ('system',  'issue_resolved', 'alert',  'immediate', 'info',    'an issue of the system was resolved', true),
  ('system',  'issue_archived', 'alert',  'immediate', 'info',    'an issue of the system was archived', true),
  ('system',  'issue_digest',   'alert',  'delayed',   'info',    'a digest of issues of the system', false),
  ('staging', 'created',        'update', 'delayed',   'info',    'something was put into staging', false),
  ('staging', 'approved',       'update', 'delayed',   'info',    'something in staging was approved', false),
  ('staging', 'consumed',       'update', 'delayed',   'info',    'something in staging was taken over', false),
  ('staging', 'rejected',       'update', 'delayed',   'info',    'something in staging was rejected', false),
  ('staging', 'expired',        'update', 'delayed',   'info',    'something in staging was left too long', false);
