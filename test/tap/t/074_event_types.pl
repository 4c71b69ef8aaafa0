# Event types of the platform around us: its own table emits by a trigger of one
# line, a route carries it; what is misspelt is told, and nobody fails for it;
# a rollback keeps them or says that they are in the way.
use strict;
use warnings;

use IU::Cluster;
use IU::Delivery;
use IU::Sink;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $sink = IU::Sink->start;
my $node = IU::Cluster->new_installed('types', 'iu_core.senders' => 1,
	'iu_core.allowed_origins' => $sink->url, 'iu_core.allowed_networks' => '127.0.0.0/8');
my $delivery = IU::Delivery->new($node, $sink);
$delivery->live;

talk_to($node);

sub psql { my ($sql) = @_; my ($rc, $out, $err) = $node->psql('postgres', $sql); return ($rc, $out, $err) }
sub conforms
{
	my ($when) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0, "$when: the database conforms");
}

sql("CREATE ROLE shop LOGIN IN ROLE iu_core_writer; CREATE TABLE orders (id integer PRIMARY KEY, state text);
	GRANT ALL ON orders TO shop;
	CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql
	  AS 'BEGIN PERFORM fn_iu_event_emit(''shop'', TG_ARGV[0], ''orders'', NEW.id::text); RETURN NEW; END';
	CREATE TRIGGER placed AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tell('order_placed');
	CREATE TRIGGER changed AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION tell('order_chnged');");
sql("SELECT fn_iu_event_type_register('shop', 'order_placed', 'update', 'immediate', 'info', 'an order was placed',"
	  . " 'ada', 'the shop')");
sql("SELECT fn_iu_route_add('orders', 'order_placed', '" . $sink->url
	  . "/orders', 'ada', 'the shop', p_event_domain => 'shop')");
$delivery->route($_, 'orders') foreach 'allow', 'arm';
conforms('registered');

# ---- an event of the platform's own

sql('SET ROLE shop; INSERT INTO orders VALUES (17, $$new$$), (18, $$new$$)');
ok($sink->wait_for('/orders', 2), 'events of a trigger of one line on a table of the platform arrive');
ok($delivery->settle('orders'), 'events of a table of the platform are recorded as sent');
is(sql("SELECT string_agg(event_subject_table || ' ' || event_subject_ref || ' ' || actor_ref, ', '"
	  . " ORDER BY event_seq) FROM event_outbox"),
	'orders 17 postgres, orders 18 postgres',
	'events of a table of the platform name their subjects by an integer key');

# ---- what nobody hears

my ($rc, $out, $err) = psql("UPDATE orders SET state = 'old'; UPDATE orders SET state = 'older' WHERE id = 17");
is($rc, 0, 'an event of a type that is not registered fails nobody');
my @notices = $err =~ /NOTICE: +(.*)/g;
is(scalar @notices, 2, 'an event of a type that is not registered is told by one NOTICE in each of two statements');
is($notices[0], 'event type "shop.order_chnged" is not registered: its event is not written',
	'the NOTICE names the type that is not registered');
is(sql('SELECT event_domain, event_type, reason, times FROM iu_core.unheard_events'), 'shop|order_chnged|unknown|3',
	'every event of a type that is not registered is counted, however many rows its statement has');
psql("BEGIN; UPDATE orders SET state = 'new'; ROLLBACK");
is(sql('SELECT times FROM iu_core.unheard_events'), 5,
	'an event of a type that is not registered is counted though it is rolled back');
is(sql("SELECT x -> 'unheard_events' -> 0 ->> 'event_type', x ->> 'healthy' FROM fn_iu_route_worker_health() x"),
	'shop.order_chnged|true',
	'health shows the types that are not registered, and is no worse for them');
sql("SELECT fn_iu_event_emit('shop', 'type_' || n, 't', 'r') FROM generate_series(1, 100) n");
is(sql('SELECT count(*) FROM iu_core.unheard_events'), 64, 'the last 64 types that are not registered are counted');
is(sql("SELECT count(*) FROM iu_core.unheard_events WHERE event_type IN ('type_100', 'type_37')"), 2,
	'the types that are not registered and were tried last are among those that are counted');
sql("CREATE DATABASE other");
$node->safe_psql('other', 'CREATE EXTENSION iu_core');
is($node->safe_psql('other', 'SELECT count(*) FROM iu_core.unheard_events'), 0,
	'types that are not registered in one database are not seen in another');

# ---- a rollback

sql('SELECT fn_iu_gate_close(gate_key, $$ada$$, $$end$$) FROM v_iu_gate WHERE effective');
sql("SELECT fn_iu_switch_set(switch_key, 'false', 'ada', 'end') FROM iu_switch_registry"
	  . " WHERE switch_key LIKE 'iu_core.route%'");
sql("SELECT fn_iu_route_disallow('orders', 'ada', 'end')");
sql('SELECT count(*) FROM iu_core.rollback(4, allow_data_loss => true)');
is(sql("SELECT count(*) FROM event_type_registry WHERE event_domain = 'shop'"), 1,
	'a rollback of later migrations keeps the event types of the platform');
conforms('rolled back to 4');
($rc, $out, $err) = psql('SELECT count(*) FROM iu_core.rollback(3)');
isnt($rc, 0, 'a rollback of the registry of event types is refused while the platform has types');
like($err, qr/WARNING: .*event types of the platform.*\nDETAIL: +Types: shop\.order_placed\./,
	'the refusal names the event types of the platform');
sql('SELECT count(*) FROM iu_core.rollback(3, allow_data_loss => true)');
sql('SELECT count(*) FROM iu_core.migrate()');
conforms('after a rollback that was allowed to lose them, and a migration');
is(sql("SELECT fn_iu_event_type_register('shop', 'order_placed', 'update', 'immediate', 'info', 'an order was placed',"
	  . " 'ada', 'again') ->> 'status'"),
	'registered', 'event types of the platform can be registered again');
conforms('registered again');

$node->stop;
done_testing();
