# The gate ledger between sessions and servers: heads in the server log when,
# and only when, something committed; one chain whoever writes; the same chain
# after dump and restore; and no opening without its row.
use strict;
use warnings;

use IPC::Run;
use IU::Cluster;
use IU::Gate;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate = 'iu_core.composer_enabled';
my $open = "SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'operator', 'test', 3600)";
my $close = "SELECT fn_iu_gate_close('$gate', 'operator', 'test')";
my $node = IU::Cluster->new_node('ledger', max_prepared_transactions => 5);

sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

# The heads of the gate in the log since a place, as "seq hash".
sub heads
{
	my ($from, $prefix) = @_;
	$prefix //= 'LOG:  ';
	return slurp_file($node->logfile, $from) =~ /\Q$prefix\Eiu_core ledger head: gate \Q$gate\E seq (\d+ hash [0-9a-f]{64})$/mg;
}

sub rows { return split /\n/, sql("SELECT transition_seq || ' hash ' || encode(row_hash, 'hex') FROM iu_gate_transition WHERE gate_key = '$gate' ORDER BY transition_seq") }

IU::Cluster->install($node);

note 'the log';
my $from = -s $node->logfile;
sql("$open; $close");
is_deeply([ heads($from) ], [ rows() ], 'each committed change is logged with its hash');

$from = -s $node->logfile;
sql("BEGIN; $open; ROLLBACK");
is_deeply([ heads($from) ], [], 'what is rolled back is not');
my $before = scalar(my @unused = rows());
sql("BEGIN; SAVEPOINT a; $open; ROLLBACK TO a; SAVEPOINT b; $open; SAVEPOINT c; $close; RELEASE c; RELEASE b; SAVEPOINT d; $open; ROLLBACK TO d; COMMIT");
my @all = rows();
is_deeply([ heads($from) ], [ @all[ $before .. $#all ] ], 'nor what a savepoint took back');
is(scalar(@all), $before + 2, 'which left two');

$from = -s $node->logfile;
sql("BEGIN; $open; PREPARE TRANSACTION 'opening'");
is_deeply([ heads($from) ], [], 'a prepared opening is not a head yet');
is(scalar(my @pending = heads($from, 'LOG:  if the prepared transaction commits: ')), 1, 'and is logged as pending');
sql("COMMIT PREPARED 'opening'");
is((rows())[-1], $pending[0], 'which it becomes');
sql($close);

note 'one chain';
my $first = $node->background_psql('postgres');
my $insert = "INSERT INTO iu_gate_transition (gate_key, action, new_value, actor) VALUES ('$gate', 'close', 'false', 'owner')";
$first->query_safe("BEGIN; SET ROLE iu_core_owner; $insert");
my $second = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' application_name=second',
		'-c', 'SET ROLE iu_core_owner', '-c', $insert ], '<', \undef, '>', \my $out, '2>', \my $err);
ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'second' AND wait_event_type = 'Lock')"),
	'who writes beside the functions waits for the gate');
$first->query_safe('COMMIT');
$second->finish;
is(sql("SELECT fn_iu_gate_ledger_verify() ->> 'ok'"), 'true', 'two of them make one chain');
is($err, '', 'neither fails');
$first->quit;

note 'audit or refuse';
sql(<<'SQL');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no room for the ledger'; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON iu_gate_transition FOR EACH ROW EXECUTE FUNCTION refuse();
SQL
my ($stdout, $stderr);
$node->psql('postgres', $open, stdout => \$stdout, stderr => \$stderr);
like($stderr, qr/no room for the ledger/, 'an opening that cannot be written down');
is(IU::Gate->state($node, $gate), 'false closed', 'does not open');
sql('DROP FUNCTION refuse() CASCADE');

note 'dump and restore';
my $dump = $node->basedir . '/ledger.dump';
my $head = (rows())[-1] =~ s/.* //r;
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ], 'dumped');
sql("CREATE DATABASE copy TEMPLATE template0; ALTER DATABASE copy SET timezone = 'Asia/Kathmandu'; ALTER DATABASE copy SET datestyle = 'SQL, DMY'");
{
	local $ENV{PGOPTIONS} = '-c timezone=America/St_Johns -c datestyle=German -c intervalstyle=sql_standard';
	$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $dump ], 'restored under other settings');
}
is(sql("SELECT fn_iu_gate_ledger_verify(NULL, '{\"$gate\": \"$head\"}') ->> 'ok'", 'copy'), 'true', 'the chain verifies, up to the logged head');
sql("$open; $close", 'copy');
is(sql("SELECT fn_iu_gate_ledger_verify(NULL, '{\"$gate\": \"$head\"}') ->> 'ok'", 'copy'), 'true', 'and goes on');
is(sql("SELECT min(c.transition_seq) > $before FROM iu_gate_transition c WHERE database_oid = iu_core.database_oid()", 'copy'), 't', 'with numbers that follow');

$node->stop;
done_testing();
