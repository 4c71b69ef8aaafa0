# The runtime lease between sessions: of many drivers one runs.
use strict;
use warnings;

use IU::Cluster;
use IU::Race;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_installed('lease', max_connections => 100, 'iu_core.databases' => '');
talk_to($node);

sub release
{
	return 'SELECT fn_dot_iu_runtime_lease_release(lease_name, lease_holder, lease_token) FROM dot_iu_runtime_lease';
}
sub acquire { return "SELECT coalesce(fn_dot_iu_runtime_lease_acquire('gate', '$_[0]', $_[1])::text, 'held')" }

# Of 50 that start at once, twice: on a name that is free, and on one that ended.
foreach my $round ('free', 'ended')
{
	my @drivers = IU::Race->run($node, {}, map { [ acquire("driver $_", 600) ] } 1 .. 50);
	is(join('', map { $_->{err} } @drivers), '', "a lease that is $round: none of 50 drivers has an error");
	is(scalar(grep { $_->{out} =~ /^[0-9a-f-]{36}$/m } @drivers), 1,
		"a lease that is $round: one of 50 drivers gets it");
	is(scalar(grep { $_->{out} =~ /^held$/m } @drivers), 49,
		"a lease that is $round: 49 of 50 drivers are told not to run");
	sql("UPDATE dot_iu_runtime_lease SET acquired_at = acquired_at - interval '1 h', renewed_at = renewed_at -"
		  . " interval '1 h', expires_at = expires_at - interval '1 h'");
}

# One that waits for a lease that ends meanwhile, and one for a release.
my $first = $node->background_psql('postgres', on_error_stop => 0);
my $next  = $node->background_psql('postgres');
like($first->query_safe('BEGIN; ' . acquire('first', 1)), qr/-/,
	'a lease is acquired in a transaction that is not committed');
start_query($next, acquire('next', 60));
wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted)");
$first->query_safe('SELECT pg_sleep(1.1); COMMIT');
like($next->query_safe('SELECT 1'), qr/^[0-9a-f-]{36}$/m, 'a driver that waited beyond the end of the lease gets it');
sql(release());
$first->query_safe('BEGIN; ' . acquire('first', 60));
start_query($next, acquire('next', 5) . "; SELECT 'held: ' || held FROM v_dot_iu_runtime_lease");
wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted)");
$first->query_safe('SELECT pg_sleep(5.1); ROLLBACK');
like($next->query_safe('SELECT 1'), qr/^held: true$/m,
	'a lease that was waited for longer than its own time is held when it is granted');
sql(release());
is($first->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM dot_iu_runtime_lease"), '0',
	'a snapshot from before sees the lease free');
sql(acquire('next', 60));
$first->query(acquire('first', 60));
is(sql("SELECT string_agg(lease_holder, ' ') FROM dot_iu_runtime_lease"), 'next',
	'a snapshot from before does not get a lease that was acquired since');
$_->quit foreach $first, $next;

$node->stop;
done_testing();
