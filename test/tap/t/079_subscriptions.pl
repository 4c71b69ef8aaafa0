# A subscriber to all tables of a database with iu_core has iu_core itself: what
# comes from there opens nothing and delivers nothing, and nothing of it stops the
# subscription. The application's own tables are replicated on and on.
use strict;
use warnings;

use IU::Cluster;
use IU::Delivery;
use IU::Gate;
use IU::Routes qw(add_route_sql arm_sql emit_sql switches_sql);
use IU::SQL;
use IU::Sink;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate = 'iu_core.delivery_enabled';
my $sink = IU::Sink->start;
my %settings = (wal_level => 'logical', 'iu_core.allowed_origins' => $sink->url,
	'iu_core.allowed_networks' => '127.0.0.0/8', max_logical_replication_workers => 8, max_wal_senders => 20,
	max_replication_slots => 20);
my $publisher = IU::Cluster->new_node('publisher', %settings);
my $subscriber = IU::Cluster->new_node('subscriber', %settings);

sub there { return $publisher->safe_psql('postgres', $_[0]) }
talk_to($subscriber);

foreach my $node ($publisher, $subscriber)
{
	IU::Cluster->install($node);
	$node->safe_psql('postgres', 'CREATE TABLE mine (id int PRIMARY KEY, name text)');
}

# ---- Both use what they have before the subscription begins

foreach my $node ($publisher, $subscriber)
{
	$node->safe_psql('postgres', $_) foreach switches_sql(),
	  add_route_sql('hook', $sink->url . ($node == $publisher ? '/hook' : '/subscriber')), arm_sql('hook');
}
IU::Gate->open($publisher, $gate, 600);
there(emit_sql(5));
ok($sink->wait_for('/hook', 5), 'the publisher delivers before anybody subscribes');
there("INSERT INTO mine SELECT n, 'before' FROM generate_series(1, 10) n");
my $before = sql("SELECT md5(string_agg(t::text, ' ' ORDER BY key)) FROM dot_config t");
my $ledger = sql('SELECT count(*) FROM iu_gate_transition');

is(there("SELECT string_agg(oid::regclass::text, ' ') FROM pg_class c WHERE relkind = 'r'"
	  . " AND relowner = 'iu_core_owner'::regrole"
	  . " AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)"), '',
	'every governed table has a primary key, without which a publisher could not change its rows');
there('CREATE PUBLICATION everything FOR ALL TABLES');
sql('CREATE SUBSCRIPTION everything CONNECTION ' . literal($publisher->connstr('postgres'))
	  . ' PUBLICATION everything');

# Until all that the publisher has done so far was applied.
sub caught_up
{
	my ($name) = @_;
	there("SELECT pg_switch_wal(); INSERT INTO mine VALUES ((SELECT coalesce(max(id), 0) + 1 FROM mine), '$name')");
	becomes("SELECT EXISTS (SELECT FROM mine WHERE name = '$name')", "the application's rows arrive: $name");
	return;
}

becomes("SELECT NOT EXISTS (SELECT FROM pg_subscription_rel WHERE srsubstate <> 'r')",
	'every table is copied, though the subscriber has the rows of the governed ones already');
is(sql("SELECT count(*) FROM mine WHERE name = 'before'"), 10, "the application's rows were copied");
caught_up('after the copy');

# ---- The publisher does what people do

my $session = $subscriber->background_psql('postgres', on_error_stop => 1);
$session->query_safe('SELECT fn_iu_delivery_enabled()');
there("SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'operator', 'x', 600)");
there("SELECT fn_iu_gate_open('iu_core.structure_ops_enabled', gen_random_uuid(), 'operator', 'x', 1)");
IU::Gate->wait_for_expiry($publisher, 'iu_core.structure_ops_enabled');
there("SELECT fn_iu_gate_close('iu_core.composer_enabled', 'operator', 'x')");
there("SELECT fn_iu_gate_approval_grant('iu_core.composer_enabled', 'open', 60, now() + interval '1 day', 'granter',"
	  . " 'x')");
there(add_route_sql('second', $sink->url . '/publisher-second', type => 'collection_created'));
there(arm_sql('second'));
there("SELECT fn_iu_switch_set('iu_core.route_worker_enabled', v, 'operator', 'x')"
	  . " FROM unnest(ARRAY['false', 'true']) v");
there(emit_sql(20));
there(emit_sql(2, type => 'collection_created'));
there("SELECT fn_iu_route_pause('hook', 'operator', 'x')");
there("SELECT fn_iu_route_resume('hook', 'operator', 'x')");
ok($sink->wait_for('/hook', 25), 'the publisher delivers with a subscriber to all of its tables');
ok($sink->wait_for('/publisher-second', 2), 'the publisher delivers on a new route');
caught_up('after changes of gates, approvals, routes and events');

is(IU::Gate->state($subscriber, $gate), 'false closed', 'the gate that is open at the publisher is closed here');
is($session->query_safe('SELECT fn_iu_delivery_enabled()'), 'f',
	'the gate that is open at the publisher is closed for a session here that asked before');
$session->quit;
is(sql("SELECT md5(string_agg(t::text, ' ' ORDER BY key)) FROM dot_config t"), $before,
	'switches and gates of the subscriber are as they were');
is(sql('SELECT count(*) FROM iu_gate_transition'), $ledger,
	'the ledger of the subscriber has what happened there, and nothing else');
is(sql("SELECT fn_iu_gate_ledger_verify() ->> 'ok'"), 'true', 'the ledger of the subscriber verifies');
is(sql('SELECT string_agg(route_code, \' \') FROM iu_outbound_route'), 'hook', 'no route comes from the publisher');
is(sql('SELECT count(*) FROM iu_route_attempt'), 0, 'no attempt comes from the publisher');
is(sql("SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok"), 0, 'the subscriber conforms');
is(sql('SELECT count(*) FROM event_outbox'), there('SELECT count(*) FROM event_outbox'),
	'every event of the publisher comes to the subscriber');
is(sql("SELECT count(*) FROM event_outbox WHERE emitted_xid <> '2'"), 0,
	'no route waits for an event that came from the publisher');
my $event = there("SELECT id FROM event_outbox WHERE event_type = 'version_applied' LIMIT 1");
is(sql("SELECT fn_iu_route_explain('hook', '$event') ->> 'code'"), 'from_elsewhere',
	'an event that came from the publisher is explained as history');

# ---- The subscriber delivers what is its own

IU::Gate->open($subscriber, $gate, 600);
my ($own) = split /\n/, sql(emit_sql(1));
ok($sink->wait_for('/subscriber', 1), 'the subscriber delivers an event of its own');
like(($sink->arrived('/subscriber'))[0][0], qr/\Q@{[ substr($own, -12) ]}\E$/,
	'what the subscriber delivers is its own event');
becomes("SELECT count(*) = 1 FROM iu_route_attempt WHERE status = 'sent'",
	'the delivery of the subscriber is recorded');
is(sql("SELECT fn_iu_route_pause('hook', 'operator', 'x') ->> 'status'"), 'paused',
	'the route of the subscriber is paused');
is(sql("SELECT fn_iu_route_arm('hook', 'operator', 'x', now() - interval '1 hour') ->> 'owed'"), 0,
	'arming from an earlier time owes no history');
is(sql("SELECT fn_iu_route_deliver('hook', '$event') ->> 'status'"), 'handed_over',
	'a person may hand over history');
ok($sink->wait_for('/subscriber', 2), 'history that a person hands over is delivered');

# ---- What the publisher takes away, changes and repeats

there("SET session_replication_role = replica; DELETE FROM event_outbox WHERE id = '$event'");
there("UPDATE dot_config SET value = value WHERE key = '$gate'");
there("UPDATE iu_route_position SET max_age = max_age + interval '1 hour'");
there("DELETE FROM dot_config WHERE key = 'iu_core.composer_enabled'");
my $twin = sql("SELECT fn_iu_emit_event('version_applied', 'K', gen_random_uuid(), 'x', '{}', 'the same key')");
there("SELECT fn_iu_emit_event('version_applied', 'K', gen_random_uuid(), 'x', '{}', 'the same key')");
caught_up('after deletions, and an event whose key is taken here');
is(sql("SELECT count(*) FROM event_outbox WHERE id = '$event'"), 1, 'a deletion elsewhere deletes nothing here');
is(sql("SELECT count(*) FROM dot_config WHERE key = 'iu_core.composer_enabled'"), 1,
	'a gate that is deleted elsewhere stays here');
is(sql("SELECT max_age FROM iu_route_position"), '1 day', 'a position that changes elsewhere stays as it is here');
is(sql("SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL AND relid IS NULL"), 1,
	'the worker of the subscription is at work');
SKIP:
{
	skip 'PostgreSQL 15 counts errors of subscriptions in another way', 1
	  if sql("SELECT to_regclass('pg_stat_subscription_stats') IS NULL") eq 't';
	is(sql('SELECT apply_error_count + sync_error_count FROM pg_stat_subscription_stats'), 0,
		'the subscription never failed');
}
is(sql("SELECT status FROM iu_core.health()"), 'OK', 'the subscriber is healthy');

# ---- A superuser who loads rows in replica role is no subscription

$subscriber->safe_psql('postgres', "SET session_replication_role = replica; INSERT INTO event_outbox (event_domain,"
	  . " event_type, event_stream, delivery_lane, event_subject_table, event_subject_ref, source_system, event_seq,"
	  . " emitted_xid) VALUES ('iu', 'version_applied', 'update', 'immediate', 't', 'r', 'loaded', 1, '9999999')");
is(sql("SELECT count(*) FROM event_outbox WHERE source_system = 'loaded' AND emitted_xid < '9999999'"
	  . " AND event_seq > 1"), 1, 'a row loaded in replica role is numbered and stamped here');
ok($sink->wait_for('/subscriber', 4), 'a row loaded in replica role is delivered as new');

my $published = IU::Delivery->new($publisher, $sink);
ok($published->settle('hook'), 'the publisher delivers to the end');
my %found = $published->audit('hook');
is("lost $found{lost}, repeated $found{repeated}", 'lost 0, repeated 0',
	'nothing of the publisher is lost or repeated');
note(sprintf('| %-63s | %9s | %8s | %5s |', 'a subscriber to all tables', @found{qw(delivered repeated lost)}));

# ---- The publisher empties tables

ok($publisher->poll_query_until('postgres', "SELECT status = 'WARNING' FROM iu_core.health()"),
	'a publisher of all tables becomes a warning');
like(there('SELECT message FROM iu_core.health()'),
	qr/publication everything carries the tables of iu_core to whoever subscribes, since it is for all tables/,
	'health says which publication carries the tables of iu_core');
my $counts = join ' UNION ALL ', map { "SELECT '$_', count(*) FROM $_" } split / /,
  sql("SELECT string_agg(oid::regclass::text, ' ' ORDER BY relname) FROM pg_class
	WHERE relkind = 'r' AND relowner = 'iu_core_owner'::regrole");
my $kept = sql($counts);
my @emptied = split / /, there("SELECT string_agg(oid::regclass::text, ' ') FROM pg_class WHERE relkind = 'r'
	AND relowner = 'iu_core_owner'::regrole OR relname = 'applied_migration'");
there(join ';', 'SET iu_core.allow_removal = on', (map { "ALTER TABLE $_ DISABLE TRIGGER USER" } @emptied),
	'TRUNCATE ' . join(', ', @emptied) . ' RESTART IDENTITY');
caught_up('after every table of iu_core was emptied');
is(sql($counts), $kept, 'no table of iu_core is emptied because it was emptied elsewhere');
is(sql('SELECT count(*) > 0 FROM iu_core.applied_migration'), 't', 'the record of migrations is as it was');
is(sql("SELECT fn_iu_gate_ledger_verify() ->> 'ok'"), 'true', 'the ledger of the subscriber verifies after that');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0, 'the subscriber conforms after that');
sql(emit_sql(1));
ok($sink->wait_for('/subscriber', 5), 'the subscriber numbers and delivers events of its own after that');
is(sql("SELECT fn_iu_gate_close('$gate', 'operator', 'x') ->> 'status'"), 'closed', 'and closes its gate');
there('TRUNCATE mine');
becomes('SELECT count(*) = 0 FROM mine', "a table of the application's is emptied as before");

# What is emptied with a table of iu_core may have triggers here, which do something in between.
foreach my $node ($publisher, $subscriber)
{
	$node->safe_psql('postgres', 'CREATE TABLE busy (id int)');
}
sql('ALTER SUBSCRIPTION everything REFRESH PUBLICATION');
becomes("SELECT srsubstate = 'r' FROM pg_subscription_rel WHERE srrelid = 'busy'::regclass", 'a table comes to it');
sql('CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(79);'
	  . ' PERFORM FROM public.mine; RETURN NULL; END $$; CREATE TRIGGER meanwhile BEFORE TRUNCATE ON busy'
	  . ' EXECUTE FUNCTION meanwhile(); ALTER TABLE busy ENABLE REPLICA TRIGGER meanwhile');
my $holder = $subscriber->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(79)');
$kept = sql('SELECT count(*) > 0, count(*) FROM iu_route_attempt');
there('TRUNCATE iu_route_attempt, busy');
becomes("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 79 AND NOT granted)",
	'the subscription is in the middle of a TRUNCATE');
sql('CREATE PUBLICATION meanwhile FOR ALL TABLES; DROP PUBLICATION meanwhile');
$holder->quit;
caught_up('after every description of a table was read again in the middle of a TRUNCATE');
is(sql('SELECT count(*) > 0, count(*) FROM iu_route_attempt'), $kept,
	'a table whose description is read again in the middle of a TRUNCATE elsewhere is not emptied here');

sql('DROP TRIGGER meanwhile ON busy; CREATE FUNCTION writes() RETURNS trigger LANGUAGE plpgsql AS'
	  . ' $$ BEGIN INSERT INTO public.event_read (event_id, reader_ref)'
	  . ' SELECT id, $q$reader$q$ FROM public.event_outbox LIMIT 1; RETURN NULL; END $$;'
	  . ' CREATE TRIGGER writes AFTER TRUNCATE ON busy EXECUTE FUNCTION writes();'
	  . ' ALTER TABLE busy ENABLE REPLICA TRIGGER writes');
my $log = -s $subscriber->logfile;
there('TRUNCATE busy, event_read');
ok($subscriber->wait_for_log(qr/ERROR: .*(partition|route)/, $log),
	'what writes into a table of iu_core in the middle of a TRUNCATE gets an error');
sql('DROP TRIGGER writes ON busy');
caught_up('after a trigger that wrote in the middle of a TRUNCATE is gone');
unlike(slurp_file($subscriber->logfile, $log), qr/terminated by signal/, 'and nothing crashes');

sql('DROP SUBSCRIPTION everything');
$_->stop foreach $publisher, $subscriber;
done_testing();
