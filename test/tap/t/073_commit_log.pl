# What is logged at commit is logged after the commit record, when an error can
# no longer be handled: whatever the client's encoding, the language of the
# server's messages and the hooks of other libraries, the transaction is
# committed and the server goes on.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use IU::Cluster;
use IU::Gate;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir;
my $server_headers = (run_command([ 'pg_config', '--includedir-server' ]))[0];
system_or_bail('cc', '-shared', '-fPIC', '-I', $server_headers, '-o', "$folder/log_hook.so", "$FindBin::RealBin/../lib/IU/log_hook.c");

# A language whose words LATIN1 cannot write, where one can be made.
my $language = 'ru_RU.UTF-8';
$ENV{LOCPATH} = $folder
  if eval { run_log([ 'localedef', '-i', 'ru_RU', '-f', 'UTF-8', "$folder/$language" ]) } && -d "$folder/$language";

my $node = IU::Cluster->new_node('commit_log',
	log_statement             => 'none',
	max_prepared_transactions => 5,
	shared_preload_libraries  => "iu_core, $folder/log_hook.so");
IU::Cluster->install($node);
my $watchdog = IU::Cluster->wait_for_worker($node, 'watchdog');
$node->safe_psql('postgres', 'CREATE TABLE done (what text)');

my $latin1 = q(SET client_encoding = 'LATIN1'; SET client_min_messages = log;);
my $foreign_line = q(iu_core.log_at_commit(U&'seven \0436\0436 letters'));

# Runs it in a session that wants every message in LATIN1, and expects it to
# have committed without a word to the client; returns what the log got.
sub commits
{
	my ($what, $statements, $name) = @_;
	my $from = -s $node->logfile;
	my ($stdout, $stderr);
	$node->psql('postgres', "$latin1 $statements", stdout => \$stdout, stderr => \$stderr);
	is($stderr, '', "$name: nothing is said to the client");
	is($node->safe_psql('postgres', "SELECT count(*) FROM done WHERE what = '$what'"), 1, "$name: it is committed");
	return slurp_file($node->logfile, $from);
}

note 'a client that has not the characters';
like(commits('block', "BEGIN; INSERT INTO done VALUES ('block'); SELECT FROM (SELECT $foreign_line) x; COMMIT;", 'a block'),
	qr/^.*LOG:  seven \xd0\xb6\xd0\xb6 letters$/m, 'and the line is in the log');
like(commits('procedure', "DO \$\$BEGIN INSERT INTO done VALUES ('procedure'); PERFORM $foreign_line; COMMIT; END\$\$;", 'a COMMIT within a procedure'),
	qr/seven \xd0\xb6\xd0\xb6 letters$/m, 'and the line is in the log');
commits('prepared', "BEGIN; INSERT INTO done VALUES ('prepared'); SELECT FROM (SELECT $foreign_line) x; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p';", 'a prepared transaction');
my $long = commits('long', "BEGIN; INSERT INTO done VALUES ('long'); SELECT FROM (SELECT iu_core.log_at_commit('seven ' || repeat(U&'\\0436', 1000000))) x; COMMIT;", 'a line of 2 MB');
like($long, qr/LOG:  seven (\xd0\xb6){400,500}$/m, 'is cut between characters');

note 'a server whose messages are translated';
SKIP:
{
	my ($set) = $node->psql('postgres', "SET lc_messages = '$language'");
	skip "the server cannot be set to $language", 3 if $set != 0;
	my ($stdout, $stderr);
	$node->psql('postgres', "SET lc_messages = '$language'; SELECT 1/0", stderr => \$stderr);
	skip 'the server has no Russian messages', 3 if $stderr =~ /division by zero/;

	my $gate = 'iu_core.composer_enabled';
	IU::Gate->open($node, $gate, 600);
	my $log = commits('translated',
		"SET lc_messages = '$language'; BEGIN; INSERT INTO done VALUES ('translated'); SELECT FROM (SELECT fn_iu_gate_close('$gate', 'operator', 'done')) x; COMMIT;",
		'an operator who closes a gate');
	like($log, qr/^.*:  iu_core ledger head: gate \Q$gate\E seq \d+ hash [0-9a-f]{64}$/m, 'and the head is in the log');
}

note 'a hook of another library that fails';
foreach my $how ("COMMIT", "PREPARE TRANSACTION 'q'; COMMIT PREPARED 'q'")
{
	my $what = $how eq 'COMMIT' ? 'hook' : 'hook_prepared';
	my $from = -s $node->logfile;
	my ($stdout, $stderr);
	$node->psql('postgres',
		"BEGIN; INSERT INTO done VALUES ('$what'); SELECT FROM (SELECT iu_core.log_at_commit('the log hook fails')) x; $how; SET statement_timeout = 100; SELECT pg_sleep(3600)",
		stdout => \$stdout, stderr => \$stderr);
	like($stderr, qr/canceling statement due to statement timeout/, "$how: the session goes on, and can be cancelled");
	is($node->safe_psql('postgres', "SELECT count(*) FROM done WHERE what = '$what'"), 1, "$how: it is committed");
	like(slurp_file($node->logfile, $from), qr/^could not log: .*the log hook fails$/m, "$how: what could not be logged is said on standard error");
}

note 'the server';
is(IU::Cluster->wait_for_worker($node, 'watchdog'), $watchdog, 'was never restarted');
unlike(slurp_file($node->logfile), qr/PANIC|cannot abort/, 'nor did anything panic');

$node->stop;
done_testing();
