-- What leaves out the rows of a subscription: a part of each table, which conformance
-- looks at and repair makes anew.
\ir setup.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.findings() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', check_code, object_class, coalesce(expected, found), detail), '; '
                    ORDER BY check_code, object_class, expected, found)
    FROM fn_iu_conformance() WHERE NOT ok AND check_code <> 'D9' $$;
CREATE FUNCTION pg_temp.repairs() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', object_name, done, left_over), '; ' ORDER BY object_name)
    FROM fn_iu_conformance_repair('ann', 'subscriptions') $$;

SELECT is((SELECT count(*) FROM fn_iu_conformance() WHERE object_class = 'trigger' AND expected ~ 'subscription'),
  (SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE t.tgname ~ 'subscription' AND c.relowner = 'iu_core_owner'::regrole
      AND t.oid NOT IN (SELECT s.oid FROM iu_core.subscription_triggers s)),
  'the triggers that leave out subscriptions are no objects of their own, but for those that are other ones');
SELECT is((SELECT state FROM iu_governed_object WHERE object_name = 'iu_regression_surface'),
  'row security off; subscriptions left out by 4 trigger(s)', 'the state of a table says that they are there');
ALTER TABLE iu_regression_surface DISABLE TRIGGER trg_0_subscription;
SELECT is(pg_temp.findings(),
  'D1 table iu_regression_surface row security off; subscriptions left out by 3 trigger(s) instead of '
  'row security off; subscriptions left out by 4 trigger(s); D8 trigger trg_0_subscription ON iu_regression_surface '
  'owned by iu_core_owner, made by no migration', 'one that is disabled is found at its table, and by itself');
SELECT is(pg_temp.repairs(), 'iu_regression_surface subscriptions left out', 'repair enables it');
SELECT is(pg_temp.findings(), NULL, 'and then all is well');
SET LOCAL iu_core.allow_removal = on;
DROP TRIGGER trg_1_subscription_numbers ON iu_regression_surface;
DROP TRIGGER trg_zz_subscription_truncate ON iu_regression_surface;
SELECT matches(pg_temp.findings(), '^D1 table iu_regression_surface .* by 2 trigger.s. instead of [^;]*; '
  'subscriptions left out by 4 trigger.s.$', 'one that is missing is found at its table');
SELECT is(pg_temp.repairs(), 'iu_regression_surface subscriptions left out', 'repair makes it anew');
SELECT is(pg_temp.findings(), NULL, 'and then all is well again');
SELECT is((SELECT string_agg(tgname || ' ' || tgenabled::text, ', ' ORDER BY tgname COLLATE "C") FROM pg_trigger
    WHERE tgrelid = 'iu_regression_surface'::regclass AND tgname ~ 'subscription'),
  'trg_0_subscription R, trg_0_subscription_truncated R, trg_1_subscription_numbers R, trg_zz_subscription_truncate R',
  'all four fire in replica role only');
DROP TRIGGER trg_0_subscription ON iu_regression_surface;
CREATE TRIGGER trg_0_subscription BEFORE INSERT ON iu_regression_surface
  FOR EACH ROW EXECUTE FUNCTION iu_core.leave_out_replicated();
SELECT matches(pg_temp.findings(), 'D8 trigger trg_0_subscription ON iu_regression_surface',
  'another one of the same name counts by itself');
SELECT finish();
ROLLBACK;
