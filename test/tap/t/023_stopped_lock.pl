# A process that was stopped with the lock of the workers' slots in its hand and in
# the middle of a change of each: the workers work on, gates open, close and are
# closed, and what they do is told. Only whose a slot is cannot change meanwhile.
use strict;
use warnings;
use File::Basename qw(dirname);
use IU::Cluster;
use IU::Delivery;
use IU::Gate;
use IU::Process;
use IU::Sink;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir;
my $file = "$folder/stands";
my $source = dirname($INC{'IU/Cluster.pm'});
my ($headers) = run_command([ 'pg_config', '--includedir-server' ]);
system_or_bail('cc', '-shared', '-fPIC', '-I', $headers, '-I', "$source/../../../..", '-o', "$folder/stand_still.so",
	"$source/stand_still.c");

my $gate = 'iu_core.composer_enabled';
my $sink = IU::Sink->start;
my $node = IU::Cluster->new_installed('lock', 'iu_core.allowed_origins' => $sink->url,
	'iu_core.allowed_networks' => '127.0.0.0/8');
my $delivery = IU::Delivery->new($node, $sink);
talk_to($node);
$delivery->live;
$delivery->add_route('any');
my $mark = $delivery->mark('any');
my $sender = IU::Cluster->wait_for_worker($node, 'sender');
my $passes = "SELECT (counters ->> 'passes')::bigint FROM iu_core.worker_status WHERE pid = $sender";
sql("CREATE FUNCTION stand_still(cstring) RETURNS void LANGUAGE c AS '$folder/stand_still', 'stand_still'");

append_to_file($file, '');
my $session = $node->background_psql('postgres');
start_query($session, "SELECT stand_still('$file')");
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query ~ '^SELECT stand_still' AND state = 'active')",
	'a process begins to stand still');

my $before = sql($passes);
$delivery->emit(20);
ok($delivery->settle('any', $mark), 'events are delivered while a process stands still with the lock');
cmp_ok(sql($passes), '>', $before, 'and the status shows what the sender does meanwhile');
is(sql("SELECT count(*) FROM iu_core.health() WHERE status = 'alarm'"), 0, 'and health finds no alarm');
IU::Gate->open($node, $gate, 3600);
is(sql("SELECT iu_core.gate_is_open('$gate')"), 't', 'and a gate opens');
IU::Gate->close($node, $gate);
is(sql("SELECT iu_core.gate_is_open('$gate')"), 'f', 'and a gate is closed');
IU::Gate->open($node, $gate, 1);
becomes("SELECT EXISTS (SELECT FROM iu_gate_transition WHERE gate_key = '$gate' AND action = 'watchdog_close')",
	'and the watchdog closes a gate');
is(sql("SELECT state FROM pg_stat_activity WHERE query ~ '^SELECT stand_still'"), 'active',
	'and the process has stood still all the time');

unlink $file or die;
$session->quit;
my %found = $delivery->audit('any', $mark);
is(IU::Delivery::told(%found) . ", repeated $found{repeated}",
	'events 20, delivered 20, lost 0, foreign 0, unrecorded 0, left 0, repeated 0', 'everything is delivered once');
$node->stop;
done_testing();
