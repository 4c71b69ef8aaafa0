-- 035 auto-instantiate retention: rows of the log of 033 may go when their collection is
-- out of use. Without its row a living collection would be found neither by a replay,
-- which would answer instance_key_exists, nor by the rollback of its actor.
INSERT INTO public.iu_core_retention_target (target_table, age_column, actor_column, condition, migration) VALUES
  ('iu_auto_instantiate_event_log', 'created_at', 'triggered_by', $sql$
    EXISTS (SELECT FROM public.iu_piece_collection c
             WHERE c.id = r.instance_collection_id
               AND (c.lifecycle_status = 'retired' OR c.deleted_at IS NOT NULL))$sql$, 35);
INSERT INTO public.iu_core_retention_policy (target_table, age_column, keep_days, actor_scope, reason) VALUES
  ('iu_auto_instantiate_event_log', 'created_at', 180, NULL,
   'what made a collection that is out of use is looked into for half a year');
