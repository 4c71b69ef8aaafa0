# Links to objects of the database between sessions: one link under a key, one route
# that captures; whoever looks at a link waits for nobody who has locked its object.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Race;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_installed('links', max_connections => 60, 'iu_core.databases' => '');
talk_to($node);
sql("SELECT fn_iu_create(a, 't', 'text', 'wim') FROM unnest(ARRAY['unit', 'going']) a");
sql('CREATE TABLE shop (id integer, name text); CREATE VIEW sold AS SELECT id FROM shop');
sql('CREATE FUNCTION price(integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT id FROM shop WHERE id = $1; END');

sub link_of
{
	my ($kind, $name, $key, $unit) = @_;
	return "SELECT fn_iu_sql_link_add('" . ($unit // 'unit') . "', 'governs', '$kind', 'public', '$name', 'inbound',"
	  . " '$key', 'olga', 'why') ->> 'status'";
}

sub count_of
{
	my ($status, @racers) = @_;
	return scalar grep { $_->{out} =~ /^\Q$status\E$/m } @racers;
}

# ---- who looks waits for nobody

my $first  = $node->background_psql('postgres', on_error_stop => 0);
my $second = $node->background_psql('postgres', on_error_stop => 0);
$first->query_safe('BEGIN; LOCK TABLE shop, sold IN ACCESS EXCLUSIVE MODE');
$first->query_safe('ALTER TABLE shop ALTER COLUMN name SET NOT NULL');
my $impatient = "SET lock_timeout = '10ms'; ";
is(sql($impatient . link_of(@$_)), 'added', "a $_->[0] is linked while somebody has locked what it is made of")
  for [ 'table', 'shop', 'shop' ], [ 'view', 'sold', 'sold' ], [ 'function', 'price', 'price' ];
is(sql("${impatient}SELECT fn_iu_sql_link_validate_all() - 'details' - 'mode'"),
	'{"all_ok": true, "total_links": 3, "resolved_true": 3, "units_deleted": 0, "fingerprints_changed": 0}',
	'links are validated while somebody has locked their objects');
$first->query_safe('COMMIT');
is(sql('SELECT object_name FROM v_iu_sql_link_resolved WHERE NOT fingerprint_matches'), 'shop',
	'what he did to one of them is seen afterwards');

# ---- one key, one route, and a unit that goes

my @racers = IU::Race->run($node, {}, map { [ link_of('table', 'shop', 'same') ] } 1 .. 8);
is(join('', map { $_->{err} } @racers), '', 'of 8 that add one link none has an error');
is(count_of('added', @racers) . ' ' . count_of('idempotent_replay', @racers), '1 7', 'one of them adds it');
sql("SELECT fn_iu_sql_event_route_add('iu_sql.r' || i, 'public', 'iu_sql_link', 'insert', 'iu_sql', 'x', 'o', 'r')"
	  . ' FROM generate_series(1, 8) i');
@racers = IU::Race->run($node, {},
	map { ["SELECT fn_iu_sql_event_route_enable('iu_sql.r$_', true, 'o', 'r') ->> 'status'"] } 1 .. 8);
is(join('', map { $_->{err} } @racers), '', 'of 8 that enable routes for one table none has an error');
is(count_of('enabled', @racers) . ' ' . count_of('route_enabled_for_table', @racers), '1 7', 'one of them is enabled');
@racers = IU::Race->run($node, {}, map { [ link_of('table', 'shop', "captured $_") ] } 1 .. 8);
is(count_of('added', @racers), 8, '8 links are added at once');
is(sql("SELECT count(*) || ' ' || count(DISTINCT event_ref) FROM iu_route_attempt WHERE route_kind = 'inbound'"), '8 8',
	'each is captured once');
IU::Gate->open($node, 'iu_core.composer_enabled', 3600);
$first->query_safe('BEGIN');
$first->query_safe("SELECT fn_iu_piece_soft_delete(id, 'wim') FROM information_unit WHERE canonical_address = 'going'");
start_query($second, link_of('table', 'shop', 'going', 'going'));
wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')");
$first->query_safe('COMMIT');
like($second->query_safe('SELECT 1'), qr/^iu_not_found$/m, 'a unit that is deleted meanwhile is not linked');
$first->quit;
$second->quit;
$node->stop;
done_testing();
