# The runtime lease between sessions: of many drivers one runs.
use strict;
use warnings;

use IU::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_node('lease', max_connections => 100, 'iu_core.databases' => '');
$node->safe_psql('postgres', 'CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()');

sub value { return $node->safe_psql('postgres', $_[0]) }
sub release { return 'SELECT fn_dot_iu_runtime_lease_release(lease_name, lease_holder, lease_token) FROM dot_iu_runtime_lease' }
sub acquire { return "SELECT coalesce(fn_dot_iu_runtime_lease_acquire('gate', '$_[0]', $_[1])::text, 'held')" }

# Of 50 that start at once, twice: on a name that is free, and on one that ended.
my $door = $node->background_psql('postgres');
foreach my $round ('free', 'ended')
{
	my @drivers;
	$door->query_safe('SELECT pg_advisory_lock(1)');
	foreach my $number (1 .. 50)
	{
		my %driver = (out => '', err => '');
		$driver{run} = IPC::Run::start([ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'),
				'-c', "SELECT pg_advisory_lock_shared(1)", '-c', acquire("driver $number", 60) ], '<', \undef, '>', \$driver{out}, '2>', \$driver{err});
		push @drivers, \%driver;
	}
	$node->poll_query_until('postgres', "SELECT count(*) = 50 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") or die 'they do not all wait';
	$door->query_safe('SELECT pg_advisory_unlock(1)');
	IPC::Run::finish($_->{run}) foreach @drivers;
	is(join('', map { $_->{err} } @drivers), '', "a name that is $round: no error");
	is(scalar(grep { $_->{out} =~ /^[0-9a-f-]{36}$/m } @drivers), 1, 'of 50 drivers one gets the lease');
	is(scalar(grep { $_->{out} =~ /^held$/m } @drivers), 49, '49 are told not to run');
	value("UPDATE dot_iu_runtime_lease SET acquired_at = acquired_at - interval '1 h', renewed_at = renewed_at - interval '1 h', expires_at = expires_at - interval '1 h'");
}

# One that waits for a lease that ends meanwhile, and one for a release.
my $first = $node->background_psql('postgres', on_error_stop => 0);
my $next  = $node->background_psql('postgres');
like($first->query_safe('BEGIN; ' . acquire('first', 1)), qr/-/, 'acquired, not committed');
$next->query_until(qr/started/, "\\echo started\n" . acquire('next', 60) . ";\n");
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted)") or die 'it does not wait';
$first->query_safe('SELECT pg_sleep(1.1); COMMIT');
like($next->query_safe('SELECT 1'), qr/^[0-9a-f-]{36}$/m, 'who waited beyond the end gets it');
value(release());
$first->query_safe('BEGIN; ' . acquire('first', 60));
$next->query_until(qr/started/, "\\echo started\n" . acquire('next', 1) . ";\n");
$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted)") or die 'it does not wait';
$first->query_safe('SELECT pg_sleep(1.1); ROLLBACK');
$next->query_safe('SELECT 1');
is(value('SELECT held FROM v_dot_iu_runtime_lease'), 't', 'what waited for longer than its own time is not over when it is granted');
value(release());
is($first->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM dot_iu_runtime_lease"), '0', 'an old snapshot sees it free');
value(acquire('next', 60));
$first->query(acquire('first', 60));
is(value("SELECT string_agg(lease_holder, ' ') FROM dot_iu_runtime_lease"), 'next', 'and does not get what somebody else took since');
$_->quit foreach $door, $first, $next;

$node->stop;
done_testing();
