# Copies of a server's files that are started elsewhere, and servers that are
# told which installation they are, or are not: gates read closed, nothing is
# sent, no standing approval is renewed, and health says why.
use strict;
use warnings;

use IU::Cluster;
use IU::Delivery;
use IU::Gate;
use IU::Lines;
use IU::Sink;
use IU::SQL;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $delivery_gate = 'iu_core.delivery_enabled';
my $composer      = 'iu_core.composer_enabled';
my $sink = IU::Sink->start;
my %settings = ('iu_core.allowed_origins' => $sink->url, 'iu_core.allowed_networks' => '127.0.0.0/8');

# Starts a server that is told this instance by its environment; undef: none.
sub start_as
{
	my ($node, $instance) = @_;
	local %ENV = %ENV;
	delete $ENV{IU_CORE_INSTANCE};
	$ENV{IU_CORE_INSTANCE} = $instance if defined $instance;
	$node->start;
	return;
}

sub health { return 'SELECT severity || \' \' || message FROM iu_core.health()' }

sub health_becomes
{
	my ($pattern, $name) = @_;
	return becomes('SELECT message ~ ' . literal($pattern) . ' FROM iu_core.health()', $name);
}

sub state_of_approval { return sql("SELECT state FROM v_iu_gate_approval WHERE approval_id = '$_[0]'") }

# The id of a standing approval of the delivery gate, on which that is open.
sub open_standing
{
	my ($seconds) = @_;
	my $id = sql("SET SESSION AUTHORIZATION olga; SELECT fn_iu_gate_approval_grant('$delivery_gate', 'open', $seconds,"
		  . " clock_timestamp() + '90 days', 'olga', 'test', p_kind => 'standing') ->> 'approval_id'");
	sql("SET SESSION AUTHORIZATION oscar; SELECT fn_iu_gate_open('$delivery_gate', '$id', 'oscar', 'test', $seconds)");
	return $id;
}

my $original = IU::Cluster->init_node('original', { allows_streaming => 1 }, %settings);
start_as($original, 'the platform');
talk_to($original);
IU::Cluster->install($original);
sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator');
my $delivery = IU::Delivery->new($original, $sink);
$delivery->live;
sql("SELECT fn_iu_gate_close('$delivery_gate', 'tester', 'test')");
my $approval = open_standing(4);
IU::Gate->open($original, $composer, 3600);
$delivery->add_route('hook');
$delivery->emit(5);
ok($delivery->settle('hook'), 'the original delivers');
becomes(health(), '0 4 processes do their work', 'with an instance in the environment health has nothing to say');
is(sql("SELECT instance_given_by FROM iu_core.place_facts()"), 'environment variable IU_CORE_INSTANCE',
	'the server says where its instance is given');
$original->backup('files');

# ---- A copy, beside the original

my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($original, 'files');
my $before = $sink->count('/hook');
my $in_copy = IU::Delivery->new($copy, $sink);
start_as($copy, undef);
talk_to($copy);
is(IU::Gate->state($copy, $composer) =~ /closed$/, 1,
	'in a copy without an instance a gate that was open reads closed');
health_becomes('^database "postgres": this is a copy: iu_core.instance is not given',
	'in a copy without an instance health says first what is missing');
is(sql('SELECT severity FROM iu_core.health()'), 2, 'in a copy without an instance health is critical');
ok(IU::Gate->wait_for_ledger($copy, $composer, 'open watchdog_close'),
	'in a copy the watchdog sets a gate to false that was opened in the original');
$in_copy->emit(3);
becomes("SELECT code || ' ' || held FROM v_iu_route_held WHERE route_code = 'hook'", 'place_not_confirmed 3',
	'in a copy deliveries are held with a code that says why');
like(sql("SELECT fn_iu_route_worker_health() ->> 'problems'"), qr/this is a copy/,
	'in a copy the health of delivery says that it is one');
is(state_of_approval($approval), 'foreign', 'in a copy a standing approval of the original is worth nothing');
like(error_of("SELECT fn_iu_gate_open('$delivery_gate', '$approval', 'oscar', 'test', 4)", user => 'oscar'),
	qr/IU101: approval .* was granted in another place/, 'in a copy nobody opens on an approval of the original');
like(IU::Gate->ledger($copy, $delivery_gate), qr/ watchdog_close$/,
	'in a copy the watchdog does not open again what a standing approval of the original kept open');

$copy->stop;
start_as($copy, 'another platform');
health_becomes('this is a copy: iu_core.instance is another than at home', 'a copy with another instance is one');

# The value of the original, where a copy takes it along.
$copy->stop;
$copy->append_conf('postgresql.conf', "iu_core.instance = 'the platform'\n");
start_as($copy, undef);
health_becomes('iu_core.instance stands in ".*/postgresql.conf", inside the data directory.*so it does not count',
	"the original's instance in a file inside the data directory does not count, and health says so");
like(error_of("ALTER SYSTEM SET iu_core.instance = 'the platform'"), qr/cannot be changed/,
	'the instance cannot be set by ALTER SYSTEM, which writes into the data directory');
$in_copy->emit(1);
becomes("SELECT held FROM v_iu_route_held WHERE route_code = 'hook'", 4, 'such a copy still holds its deliveries');
is($sink->count('/hook'), $before, 'the copy sent nothing at all');
$copy->adjust_conf('postgresql.conf', 'iu_core.instance', undef);

# A staging system: at home where a person says so.
$copy->stop;
start_as($copy, 'staging');
like(error_of("SELECT fn_iu_place_confirm('rita', 'x')", user => 'iu_core_worker'), qr/42501/,
	'who is no operator cannot say where the database is at home');
is(sql("SELECT fn_iu_place_confirm('olga', 'staging') ->> 'status'"), 'confirmed',
	'an operator says that the copy is at home where it is');
becomes(health(), '0 4 processes do their work', 'after that health of the copy has nothing to say');
is(state_of_approval($approval), 'foreign', 'approvals that were not named stay worth nothing in the copy');
becomes("SELECT code FROM v_iu_route_held WHERE route_code = 'hook'", 'delivery_gate_closed',
	'in the copy the gate of delivery is closed');
IU::Gate->open($copy, $delivery_gate, 600);
becomes("SELECT code FROM v_iu_route_held WHERE route_code = 'hook'", 'position_foreign',
	'in the copy a route that was armed in the original stays held');
$in_copy->add_route('staging');
$in_copy->emit(1);
ok($sink->wait_for('/staging', 1), 'in the copy a route that was armed there delivers');
is($sink->count('/hook'), $before, 'in the copy a route that was armed in the original sends nothing');
like(error_of("SELECT fn_iu_place_confirm('olga', 'again')"), qr/55000: the database is at home here/,
	'there is nothing to confirm a second time');
is(sql("SELECT string_agg(began || ' ' || (confirmed_at IS NOT NULL), ', ' ORDER BY place_seq) FROM iu_place"),
	'first true, copy false, copy false, copy false, copy true', 'the places in which the database was are on record');
$copy->stop;

talk_to($original);
like(IU::Gate->ledger($original, $delivery_gate), qr/^(open )+close (open )+open$/,
	'the original was renewed all the time and never closed');

# ---- A restart, and another instance, of the original itself

$original->stop;
start_as($original, 'the platform');
is(IU::Gate->state($original, $composer), 'true open', 'with an instance a gate stays open over a restart');
$original->stop;
start_as($original, 'another');
health_becomes('iu_core.instance is another than at home', 'a server that is told another instance is not at home');
$original->stop;
start_as($original, 'the platform');
becomes(health(), '0 4 processes do their work', 'told its own instance again it is at home without anybody saying so');
becomes("SELECT iu_core.gate_is_open('$delivery_gate')", 't',
	'back at home a standing approval opens its gate again');

# ---- The same files under another system identifier, as pg_upgrade leaves them

sql("SELECT fn_iu_route_pause('hook', 'tester', 'test')");
$delivery->emit(4);
$original->stop;
open(my $control, '+<:raw', $original->data_dir . '/global/pg_control') or die $!;
print $control pack('Q<', 4711);
close $control;
$original->command_ok([ $original->installed_command('pg_resetwal'), '-f', '-D', $original->data_dir ],
	'the server gets another system identifier');
$before = $sink->count('/hook');
start_as($original, 'the platform');
health_becomes('^database "postgres": the same files have another system identifier, as after pg_upgrade',
	'under another system identifier health says what happened');
sql("SELECT fn_iu_route_resume('hook', 'tester', 'test')");
becomes("SELECT code || ' ' || held FROM v_iu_route_held WHERE route_code = 'hook'", 'place_not_confirmed 4',
	'under another system identifier deliveries are held');
is(state_of_approval($approval), 'foreign', 'under another system identifier approvals are worth nothing yet');
is($sink->count('/hook'), $before, 'under another system identifier nothing is sent');
is(sql("SELECT fn_iu_place_confirm('olga', 'upgraded') ->> 'began'"), 'upgrade', 'a person confirms, by one call');
becomes("SELECT iu_core.gate_is_open('$delivery_gate')", 't', 'by that the standing approval goes on');
ok($sink->wait_for('/hook', $before + 4), 'by that the deliveries go on where they were');
is(state_of_approval($approval), 'valid', 'by that the approval is valid');
is($sink->count('/hook'), $before + 4, 'nothing is sent twice');
becomes(health(), '0 4 processes do their work', 'and health has nothing to say');

# ---- Without an instance from the beginning

my $plain = IU::Cluster->init_node('plain', {}, %settings);
start_as($plain, undef);
talk_to($plain);
IU::Cluster->install($plain);
sql('CREATE ROLE olga LOGIN IN ROLE iu_core_operator; CREATE ROLE oscar LOGIN IN ROLE iu_core_operator');
my $in_plain = IU::Delivery->new($plain, $sink);
$in_plain->live;
health_becomes('^iu_core.instance is not given: gates close with every restart and no standing approval is renewed',
	'a server without an instance says what that means');
is(sql('SELECT severity FROM iu_core.health()'), 1, 'a server without an instance is a warning of health');
is(IU::Gate->state($plain, $delivery_gate), 'true open', 'without an instance a gate can be opened');
$in_plain->add_route('plain');
$in_plain->emit(1);
ok($sink->wait_for('/plain', 1), 'without an instance events are delivered');
$plain->stop;
start_as($plain, undef);
like(IU::Gate->state($plain, $delivery_gate), qr/closed$/,
	'without an instance a gate that was open reads closed after a restart');
ok(IU::Gate->wait_for_ledger($plain, $delivery_gate, 'open watchdog_close'),
	'without an instance the watchdog closes what was opened before a restart');
open_standing(2);
ok(IU::Gate->wait_for_ledger($plain, $delivery_gate, 'open watchdog_close open watchdog_close'),
	'without an instance a gate is not renewed on a standing approval');
$plain->stop;

# A file outside of the data directory. One inside leads to it, as it would in a copy.
my $outside = $plain->basedir . '/outside.conf';
append_to_file($outside, "iu_core.instance = 'the platform'\n");
$plain->append_conf('postgresql.conf', "include = '$outside'\n");
start_as($plain, undef);
health_becomes("iu_core.instance stands in \"$outside\", inside the data directory or named by the configuration file"
	  . ' there.*so it does not count', 'an instance in a file to which the data directory leads does not count');
$plain->stop;

# The configuration outside, as in /etc/postgresql on Debian.
$plain->adjust_conf('postgresql.conf', 'include', undef);
my $all = slurp_file($plain->data_dir . '/postgresql.conf');
append_to_file($outside, "data_directory = '" . $plain->data_dir . "'\n$all");
{
	local %ENV = %ENV;
	delete $ENV{IU_CORE_INSTANCE};
	my $log = $plain->logfile;
	$plain->command_ok([ 'pg_ctl', '-w', '-D', $plain->data_dir, '-l', $log, '-o',
			'--config-file=' . $outside . ' --cluster-name=plain', 'start' ],
		'a server starts with its configuration outside of the data directory');
}
$plain->_update_pid(1);
is(sql('SELECT instance_given_by FROM iu_core.place_facts()'), $outside,
	'an instance in a file outside of the data directory counts');
health_becomes('this is a copy: iu_core.instance is given now .* and was not before',
	'where an instance is given for the first time, a person says that this is the place');
sql("SELECT fn_iu_place_confirm('olga', 'the instance is given', p_deliveries => 'send')");
becomes(health(), '0 4 processes do their work', 'after that health has nothing to say');
IU::Gate->open($plain, $delivery_gate, 600);
$in_plain->emit(1);
ok($sink->wait_for('/plain', 2), 'after that the routes that were armed before deliver');

$_->stop foreach $original, $plain;
done_testing();
