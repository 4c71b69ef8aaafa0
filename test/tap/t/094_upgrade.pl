# pg_upgrade to a later major: in the new cluster gates are closed and nothing is
# sent until one call says that it is the same place; then the standing approval
# goes on, and nothing is lost. IU_NEXT_STAGE is a staged installation of the later
# major, which tools/losses makes where it finds one.
use strict;
use warnings;

use File::Basename qw(dirname);
use IU::Cluster;
use IU::Delivery;
use IU::SQL;
use IU::Sink;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

unless ($ENV{IU_NEXT_STAGE})
{
	note('| pg_upgrade: skipped, since there is no installation of a later major |');
	plan skip_all => 'IU_NEXT_STAGE names no installation of a later major';
}

my $events = $ENV{IU_EVENTS} ? 1000 : 50;
my $gate = 'iu_core.delivery_enabled';
my $sink = IU::Sink->start;
my %settings = ('iu_core.allowed_origins' => $sink->url, 'iu_core.allowed_networks' => '127.0.0.0/8');
my $old = IU::Cluster->new_node('old', %settings);
my $old_commands = dirname((grep { -x } map { "$_/initdb" } split /:/, $ENV{PATH})[0]);
my $next_commands = "$ENV{IU_NEXT_STAGE}/bin";

talk_to($old);
IU::Cluster->install($old);
sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator');
my $version = sql('SHOW server_version_num');
my $delivery = IU::Delivery->new($old, $sink);
$delivery->live;
$delivery->gate('close');
my $approval = sql("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_grant('$gate', 'open', 3600,"
	  . " clock_timestamp() + interval '90 days', 'olga', 'test', 'standing') ->> 'approval_id'");
sql("SET SESSION AUTHORIZATION oscar; SELECT fn_iu_gate_open('$gate', '$approval', 'oscar', 'test', 3600)");
$delivery->add_route('hook', max_in_flight => 256);
$delivery->emit($events);
ok($delivery->settle('hook'), 'the old cluster delivers');
$delivery->route('pause', 'hook');
$delivery->emit($events);
is($sink->count('/hook'), $events, 'a part waits when the old cluster is stopped');
$old->stop;

# ---- The upgrade, with the commands of both majors

my $new = $old->basedir . '/next';
my @as_old = ('-d', $old->data_dir, '-b', $old_commands);
{
	local $ENV{PATH} = "$next_commands:$ENV{PATH}";
	my ($sums) = `$old_commands/pg_controldata -D @{[ $old->data_dir ]}` =~ /checksum version:\s+(\d+)/;
	my $help = `$next_commands/initdb --help`;
	system_or_bail("$next_commands/initdb", '-D', $new, '--username=postgres', '--encoding=UTF8', '--locale=C',
		'--auth=trust', '-N', $sums ? '--data-checksums' : $help =~ /--no-data-checksums/ ? '--no-data-checksums' : ());
	append_to_file("$new/postgresql.conf", IU::Cluster::settings_text(shared_preload_libraries => 'iu_core',
			'iu_core.databases' => 'postgres', max_worker_processes => 32, fsync => 'off', port => $old->port,
			unix_socket_directories => $old->host, listen_addresses => '', %settings));
	chdir $old->basedir or die $!;
	command_ok([ "$next_commands/pg_upgrade", @as_old, '-D', $new, '-B', $next_commands, '-U', 'postgres',
			'-p', $old->port, '-P', $old->port, '-s', $old->basedir ],
		'pg_upgrade succeeds');
	system_or_bail("$next_commands/pg_ctl", '-D', $new, '-l', $old->logfile . '.next', '-w', 'start');
}
END
{
	system("$next_commands/pg_ctl", '-D', $new, '-m', 'immediate', 'stop') if $new && -e "$new/postmaster.pid";
}

# The clients of this test connect by port and socket, which are the same.
cmp_ok(int(sql('SHOW server_version_num') / 10000), '>', int($version / 10000), 'the server is of a later major');
becomes("SELECT message ~ 'pg_upgrade' FROM iu_core.health()", 'health says that this was upgraded');
is(sql("SELECT iu_core.gate_is_open('$gate')"), 'f', 'the gate is closed until the place is confirmed');
is($sink->count('/hook'), $events, 'nothing is sent until the place is confirmed');
$delivery->route('resume', 'hook');
sql("SELECT fn_iu_place_confirm('olga', 'upgraded', NULL, 'send')");
becomes("SELECT iu_core.gate_is_open('$gate')", 't', 'the gate opens again on the standing approval');
$delivery->emit($events);
ok($delivery->settle('hook'), 'the upgraded cluster delivers what waited and what is new');
my %found = $delivery->audit('hook');
is(IU::Delivery::told(%found) . ", repeated $found{repeated}", IU::Delivery::perfect(3 * $events) . ', repeated 0',
	'over the upgrade nothing is lost or repeated');
is(sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0, 'the upgraded database conforms');
becomes('SELECT status FROM iu_core.health()', 'OK', 'health is well when it is over');
note(sprintf('| %-63s | %9s | %8s | %5s |', 'pg_upgrade', @found{qw(delivered repeated lost)}));
system_or_bail("$next_commands/pg_ctl", '-D', $new, '-m', 'fast', '-w', 'stop');

done_testing();
