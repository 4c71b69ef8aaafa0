# Errors where they can no longer be handled. After the commit record an error
# would be a panic of the whole server, so whatever the client's encoding, the
# language of the messages and the hooks of other libraries: what is committed
# is committed, and the server goes on. And a worker that an error ends outside
# of anything that catches it says which one it was.
use strict;
use warnings;

use File::Basename qw(dirname);
use IU::Cluster;
use IU::Gate;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir;
my ($headers) = run_command([ 'pg_config', '--includedir-server' ]);
system_or_bail('cc', '-shared', '-fPIC', '-I', $headers, '-o', "$folder/log_hook.so",
	dirname($INC{'IU/Cluster.pm'}) . '/log_hook.c');

# A language whose words LATIN1 cannot write, where one can be made.
my $language = 'ru_RU.UTF-8';
$ENV{LOCPATH} = $folder
  if eval { run_log([ 'localedef', '-i', 'ru_RU', '-f', 'UTF-8', "$folder/$language" ]) } && -d "$folder/$language";

my $node = IU::Cluster->new_installed('late_errors',
	log_statement             => 'none',
	max_prepared_transactions => 5,
	shared_preload_libraries  => "iu_core, $folder/log_hook.so");
my $watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
$node->safe_psql('postgres', 'CREATE TABLE done (what text)');

sub done { return "INSERT INTO done VALUES ('$_[0]')" }
sub is_done { return is($node->safe_psql('postgres', "SELECT count(*) FROM done WHERE what = '$_[0]'"), 1, $_[1]) }
sub line { return "SELECT FROM (SELECT iu_core.log_at_commit($_[0])) x" }

# Runs it in a session that wants every message in LATIN1; it inserts $what into
# the table. Returns what the server's log got.
sub commits
{
	my ($what, $statements, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $from = -s $node->logfile;
	my ($stdout, $stderr);
	$node->psql('postgres', "SET client_encoding = 'LATIN1'; SET client_min_messages = log; $statements",
		stdout => \$stdout, stderr => \$stderr);
	is($stderr, '', "$name says nothing to the client");
	is_done($what, "$name is committed");
	return slurp_file($node->logfile, $from);
}

note 'a client whose encoding has not the characters';
my $foreign = q(U&'seven \0436\0436 letters');
my $in_log = qr/seven \xd0\xb6\xd0\xb6 letters$/m;
like(commits('block', join(';', 'BEGIN', done('block'), line($foreign), 'COMMIT'), 'a block'),
	qr/LOG:  $in_log/, 'the line of a block is in the log');
my $procedure = done('procedure') . "; PERFORM iu_core.log_at_commit($foreign); COMMIT;";
like(commits('procedure', "DO \$\$BEGIN $procedure END\$\$", 'a COMMIT within a procedure'),
	qr/LOG:  $in_log/, 'the line of a COMMIT within a procedure is in the log');
like(commits('prepared', join(';', 'BEGIN', done('prepared'), line($foreign),
			"PREPARE TRANSACTION 'p'", "COMMIT PREPARED 'p'"),
		'a prepared transaction'),
	qr/LOG:  if the prepared transaction commits: $in_log/, 'the line of a prepared transaction is in the log');
my $long = "'seven ' || repeat(U&'\\0436', 1000000)";
like(commits('long', join(';', 'BEGIN', done('long'), line($long), 'COMMIT'), 'a line of 2 MB'),
	qr/LOG:  seven (\xd0\xb6){400,500}$/m, 'a line of 2 MB is cut between two characters');

note 'a server whose messages are translated';
SKIP:
{
	my $gate = 'iu_core.composer_enabled';
	my ($code) = $node->psql('postgres', "SET lc_messages = '$language'", stderr => \my $unknown);
	skip "the server cannot be set to $language", 3 if $code != 0;
	$node->psql('postgres', "SET lc_messages = '$language'; SELECT 1/0", stderr => \my $error);
	skip 'the server has no Russian messages', 3 if $error =~ /division by zero/;

	IU::Gate->open($node, $gate, 600);
	my $log = commits('translated', join(';', "SET lc_messages = '$language'", 'BEGIN', done('translated'),
			"SELECT FROM (SELECT fn_iu_gate_close('$gate', 'operator', 'done')) x", 'COMMIT'),
		'the closing of a gate by an operator who reads LATIN1');
	like($log, qr/:  iu_core ledger head: gate \Q$gate\E seq \d+ hash [0-9a-f]{64}$/m,
		'the ledger head of that closing is in the log');
}

note 'a hook of another library that fails';
foreach my $end ('COMMIT', "PREPARE TRANSACTION 'q'; COMMIT PREPARED 'q'")
{
	my $from = -s $node->logfile;
	my ($what, $name) = $end eq 'COMMIT' ? ('hook', 'after COMMIT') : ('hook_prepared', 'after PREPARE');
	my ($stdout, $stderr);
	$node->psql('postgres', join(';', 'BEGIN', done($what), line("'the log hook fails'"), $end,
			'SET statement_timeout = 100', 'SELECT pg_sleep(3600)'),
		stdout => \$stdout, stderr => \$stderr);
	like($stderr, qr/canceling statement due to statement timeout/, "$name: the session goes on and can be cancelled");
	is_done($what, "$name: the transaction is committed");
	like(slurp_file($node->logfile, $from), qr/^could not log: .*the log hook fails$/m,
		"$name: the line that could not be logged is on standard error");
}
is(IU::Cluster->wait_for_worker($node, 'watchdog'), $watchdog, 'all this restarts no worker');
unlike(slurp_file($node->logfile), qr/PANIC|cannot abort/, 'all this makes nothing panic');

note 'a worker that an error ends';
my $function = 'iu.fn_iu_gate_expiring()';
my $definition = $node->safe_psql('postgres', "SELECT pg_get_functiondef('$function'::regprocedure)");
(my $failing = $definition) =~ s/^BEGIN$/BEGIN RAISE 'the log hook fails';/m;
$node->safe_psql('postgres', "$failing; SELECT iu_core.wake()");
ok($node->poll_query_until('postgres',
		"SELECT EXISTS (SELECT FROM iu_core.worker_status WHERE role = 'watchdog' AND last_error = 'no room for the"
		  . " line')"),
	'a watchdog whose report of a failure fails tells in worker_status what ended it');
$node->safe_psql('postgres', "$definition; SELECT iu_core.wake()");
IU::Cluster->wait_for_worker($node, 'watchdog', $watchdog);
ok($node->poll_query_until('postgres',
		"SELECT EXISTS (SELECT FROM iu_core.worker_status WHERE role = 'watchdog'"
		  . " AND state = 'running' AND last_error IS NULL)"),
	'the next watchdog works when the cause is gone, and has nothing to report');

$node->stop;
done_testing();
