# Copies of a database that is in the middle of a backlog: dumped and restored,
# made as a template's copy, copied file by file. They send nothing until
# somebody confirms the place, and then the position. A standby that is promoted
# there is no copy: on the same standing approval it carries on, and nothing is lost.
use strict;
use warnings;

use IU::Delivery;
use IU::Sink;
use IU::Cluster;
use IU::Dump;
use IU::Process;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $events = $ENV{IU_EVENTS} || 1000;
my $sink = IU::Sink->start;
my %settings = ('iu_core.allowed_origins' => $sink->url, 'iu_core.allowed_networks' => '127.0.0.0/8');
my $node = IU::Cluster->init_node('original', { allows_streaming => 1 }, %settings, max_prepared_transactions => 10,
	'iu_core.databases' => 'postgres, restored, clone');
$node->start;
my $delivery = IU::Delivery->new($node, $sink);
IU::Cluster->install($node);
$delivery->live;
$delivery->sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator');
my $standing = $delivery->sql("SET SESSION AUTHORIZATION olga;"
	  . "SELECT fn_iu_gate_approval_grant('iu_core.delivery_enabled',"
	  . " 'open', 3600, clock_timestamp() + '90 days', 'olga', 'test', p_kind => 'standing') ->> 'approval_id'");
$delivery->sql("SELECT fn_iu_gate_open('iu_core.delivery_enabled', '$standing', 'tester', 'test', 3600)");
$delivery->prepare('early');
$delivery->add_route('hook', max_in_flight => 256);

sub row { return note(sprintf('| %-63s | %9s | %8s | %5s |', $_[0], map { $_[1]{$_} } qw(delivered repeated lost))) }

# ---- Copies

$delivery->route('pause', 'hook');
$delivery->emit($events - 1);
$sink->hold('/hook', int($events * 0.4));
$delivery->route('resume', 'hook');
ok($sink->wait_for('/hook', int($events * 0.4) + 1), 'a part of the backlog has arrived, and a part is under way');
$delivery->sql("COMMIT PREPARED 'early'");		# from before the arming
$node->safe_psql('template1', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres'"
	  . " AND backend_type = 'client backend'; CREATE DATABASE clone TEMPLATE postgres");
ok($delivery->becomes('SELECT EXISTS (SELECT FROM iu_route_lease JOIN pg_stat_activity ON pid = backend_pid)'),
	'the sender that left for the clone to be made is back');
my $dump = $node->basedir . '/dump';
dump_to($node, $dump);
$node->backup('files');
$sink->heal;
ok($delivery->settle('hook'), 'the original delivers on');
my %original = $delivery->audit('hook');
is(IU::Delivery::told(%original), IU::Delivery::perfect($events), 'the original delivers everything');

my $copies = 0;

# Each copy has one event of its own, which the others know nothing of.
sub told
{
	my ($at, $others) = @_;
	my %found = $at->audit('hook');
	$found{foreign} -= $others;
	return IU::Delivery::told(%found);
}

sub check_copy
{
	my ($what, $server, $database) = @_;
	my $copy = IU::Delivery->new($server, $sink, $database);
	my $fresh = 'fresh' . ++$copies;

	subtest "the copy sends nothing until it is confirmed: $what" => sub {
		my $before = $sink->count('/hook');
		my $owed = $events - $copy->sql(
			"SELECT count(*) FROM iu_route_attempt WHERE route_code = 'hook' AND status = 'sent'");
		cmp_ok($owed, '>', 0, 'the copy owes something');
		$copy->live;
		$copy->add_route($fresh);
		$copy->sql("SELECT fn_iu_emit_event('version_applied', 'fresh', gen_random_uuid(), 'tester')");
		ok($copy->becomes("SELECT code = 'place_not_confirmed' FROM v_iu_route_held WHERE route_code = '$fresh'"),
			'the copy says of every route that nobody has said that the platform is at home there');
		$copy->sql("SELECT fn_iu_place_confirm('tester', 'test')");
		ok($sink->wait_for("/$fresh", 1), "the copy's sender delivers on a route that was armed in the copy");
		is($sink->count('/hook'), $before, 'the copy sends nothing on a route that was armed elsewhere');
		is($copy->sql("SELECT code FROM v_iu_route_held WHERE route_code = 'hook'"), 'position_foreign',
			"the copy says that the route's position is of another place");
		is($copy->sql("SELECT fn_iu_route_confirm_position('hook', 'tester', 'test') ->> 'status'"), 'confirmed',
			'the position can be confirmed in the copy');
		ok($copy->settle('hook'), 'the copy delivers on after its position is confirmed');
		is($sink->count('/hook') - $before, $owed + 1, 'the copy sends what it owes, each event once');
		is(told($copy, $copies - 1), IU::Delivery::perfect($events + 1),
			'the copy sends what it owes under the same webhook-ids, with the same bodies');
		$copy->route('retire', $_) foreach 'hook', $fresh;
	};
	return;
}

check_copy('a database made with the original as template', $node, 'clone');
restore_into($node, 'restored', $dump);
check_copy('a dump, restored into the same cluster', $node, 'restored');
my $elsewhere = IU::Cluster->new_node('elsewhere', %settings, 'iu_core.databases' => 'restored');
restore_into($elsewhere, 'restored', $dump);
check_copy('a dump, restored into another cluster', $elsewhere, 'restored');
$elsewhere->stop;

# Its files, with an identity of their own: what tells it from the original.
my $files = PostgreSQL::Test::Cluster->new('files');
$files->init_from_backup($node, 'files');
$files->append_conf('postgresql.conf', "iu_core.databases = ''\n");
$files->start;
$files->stop;
open(my $control, '+<:raw', $files->data_dir . '/global/pg_control') or die $!;
print $control pack('Q<', 4711);
close $control;
$files->command_ok([ $files->installed_command('pg_resetwal'), '-f', '-D', $files->data_dir ],
	'a copy of the files gets a system identifier of its own');
$files->append_conf('postgresql.conf', "iu_core.databases = 'postgres'\n");
{
	local $ENV{IU_CORE_INSTANCE} = 'another';
	$files->start;
}
is($files->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()'), 4711,
	'a copy of the files has the system identifier that it got');
check_copy('the files, under another system identifier', $files, 'postgres');
$files->stop;

# ---- Standbys

# A standby of the server is promoted when the server is killed in the middle.
sub promote
{
	my ($what, $server, $name, $arrange, $catch_up) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);
	my $primary = IU::Delivery->new($server, $sink);
	my $next = IU::Delivery->new($standby, $sink);

	subtest "a standby that is promoted carries on, $what" => sub {
		my $mark = $primary->mark('hook');
		$server->backup($name);
		$standby->init_from_backup($server, $name, has_streaming => 1);
		$standby->start;
		my $replayed = sub { $server->wait_for_catchup($standby, 'replay', $server->lsn('insert')) };
		$primary->route('pause', 'hook');
		$primary->emit($events);
		$arrange->();
		$primary->route('resume', 'hook');
		$replayed->();
		ok($sink->wait_for('/hook', $mark->{arrived} + int($events * 0.4)),
			'a part of the backlog has arrived before the promotion');
		$replayed->() if $catch_up;
		kill_server($server);
		cmp_ok($sink->count('/hook') - $mark->{arrived}, '<', $events,
			'a part of the backlog has not arrived before the promotion');
		$sink->heal;
		$standby->promote;
		ok($next->settle('hook'), 'the promoted standby delivers the rest');
		my %found = $next->audit('hook', $mark);
		is(IU::Delivery::told(%found), IU::Delivery::perfect($events), 'over the promotion nothing is lost');
		row("a standby is promoted, $what", \%found);
		$next->emit(100);
		ok($next->settle('hook'), 'the promoted standby delivers what is emitted there');
	};
	return $standby;
}

$node = promote('requests under way', $node, 'second', sub { $sink->hold('/hook', int($events * 0.4)) }, 1);
$node = promote('at full speed', $node, 'third',
	sub { $sink->hold('/hook', int($events * 0.6)); $sink->slow('/hook', 20) }, 0);
$delivery = IU::Delivery->new($node, $sink);
is(told($delivery, $copies), IU::Delivery::perfect(3 * $events + 200),
	'over both promotions and the copies nothing is lost');

$node->stop;
done_testing();
