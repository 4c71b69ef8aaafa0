# Crashes with gates open: kill -9 of each process of ours and of the postmaster.
# What was committed stays, what was not is gone, and what expired is closed.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Process;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $short  = 'iu_core.composer_enabled';
my $long   = 'iu_core.structure_ops_enabled';
my $busy   = 'iu_core.delivery_enabled';
my $unborn = 'iu_core.operator_runtime_enabled';

my $node = IU::Cluster->new_installed('crash', restart_after_crash => 'on', 'iu_core.senders' => 1);
my (@committed, @short_ledger);

talk_to($node);

# Opens and closes a gate until the server dies, and prints what was committed.
my $work = $node->basedir . '/writer.sql';
append_to_file($work, <<"SQL" x 20000);
SELECT fn_iu_gate_open('$busy', gen_random_uuid(), 'writer', NULL, 600) ->> 'transition_id';
SELECT fn_iu_gate_close('$busy', 'writer', NULL) ->> 'transition_id';
SQL

sub start_writer
{
	my %writer = (out => '');
	$writer{run} = IPC::Run::start(
		[ $node->installed_command('psql'), '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f',
		$work ],
		'<', \undef, '>', \$writer{out}, '2>', \$writer{err});
	IPC::Run::pump($writer{run}) until ($writer{out} =~ tr/\n//) >= 20;
	return \%writer;
}

sub crash
{
	my ($who) = @_;
	my $watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
	my $uncommitted = $node->background_psql('postgres', on_error_stop => 0);

	$uncommitted->query_safe("BEGIN; SELECT fn_iu_gate_open('$unborn', gen_random_uuid(), 'nobody', 'never"
		  . " committed', 3600)");
	my $writer = start_writer();
	IU::Gate->open($node, $short, 2);
	push @short_ledger, 'open', 'watchdog_close';

	if ($who eq 'postmaster') { $node->kill9 }
	else { kill(9, IU::Cluster->wait_for_worker($node, $who)) }
	IPC::Run::finish($writer->{run});
	isnt($writer->{run}->full_result(0), 0, "$who killed: a session at work is cut off");
	push @committed, $writer->{out} =~ /^([-0-9a-f]{36})$/mg;
	eval { $uncommitted->{run}->finish };
	start_again($node) if $who eq 'postmaster';
	IU::Cluster->wait_for_worker($node, 'watchdog', $watchdog);

	like(sql(IU::Gate->watch_expiry($short)), qr/^(open, then closed|never open)$/,
		"$who killed: a gate that is open at the crash is open to its expiry and no longer");
	ok(IU::Gate->wait_for_ledger($node, $short, "@short_ledger"),
		"$who killed: the new watchdog closes the expired gate, and the ledger is complete");
	is(IU::Gate->state($node, $long), 'true open', "$who killed: a gate with time left is still open");
	is(IU::Gate->state($node, $unborn), 'false closed',
		"$who killed: an opening that was not committed leaves the gate closed");
	is(sql("SELECT count(*) FROM iu_gate_transition WHERE gate_key = '$unborn'"), 0,
		"$who killed: an opening that was not committed is not in the ledger");
	sql("SELECT fn_iu_gate_close('$busy', 'operator', 'after the crash')");
}

IU::Gate->open($node, $long, 3600, 'operator');
crash($_) foreach qw(watchdog sender launcher postmaster);

my $ids = join(',', map { "'$_'" } @committed);
cmp_ok(scalar @committed, '>=', 80, 'the sessions that were cut off had committed changes');
is(sql("SELECT count(*) FROM iu_gate_transition WHERE transition_id IN ($ids)"), scalar @committed,
	'every change that was committed before a crash is in the ledger');
is(sql("SELECT string_agg(transition_id::text, ',' ORDER BY transition_seq) FROM iu_gate_transition"
	  . " WHERE transition_id IN ($ids)"),
	join(',', @committed), 'the changes that were committed before the crashes are in the ledger in their order');
is(sql("SELECT count(*) FROM (SELECT action, lag(action) OVER (ORDER BY transition_seq) AS before"
	  . " FROM iu_gate_transition"
	  . " WHERE gate_key = '$busy') t WHERE action = 'open' AND before = 'open'"), 0,
	'no opening of a gate follows another in the ledger, so that no close was lost');
is(sql('SELECT count(*) FROM iu_gate_transition t LEFT JOIN dot_iu_command_run r USING (run_id)'
	  . ' WHERE r.run_id IS NULL'),
	0,
	'every transition in the ledger has its run');

IU::Gate->open($node, $long, 1, 'operator');
ok(IU::Gate->wait_for_ledger($node, $long, 'open open watchdog_close'),
	'an opening that outlived four crashes is renewed by its holder, and ends');
is(sql("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'true', 'after four crashes verify says that all is safe');

done_testing();
