# The gate ledger between sessions and servers: heads in the server log when,
# and only when, something committed; one chain whoever writes; the same chain
# after dump and restore; and no opening without its row.
use strict;
use warnings;

use IPC::Run;
use IU::Cluster;
use IU::Dump;
use IU::Gate;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate = 'iu_core.composer_enabled';
my $open = "SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'operator', 'test', 3600)";
my $close = "SELECT fn_iu_gate_close('$gate', 'operator', 'test')";
my $node = IU::Cluster->new_installed('ledger', max_prepared_transactions => 5);

talk_to($node);

# The heads of the gate in the log since a place, as "seq hash".
sub heads
{
	my ($from, $prefix) = @_;
	$prefix //= 'LOG:  ';
	return slurp_file($node->logfile,
		$from) =~ /\Q$prefix\Eiu_core ledger head: gate \Q$gate\E seq (\d+ hash [0-9a-f]{64})$/mg;
}

sub rows
{
	return split /\n/, sql("SELECT transition_seq || ' hash ' || encode(row_hash, 'hex') FROM iu_gate_transition"
		  . " WHERE gate_key = '$gate' ORDER BY transition_seq");
}


note 'the mark of a head';
IU::Cluster->reload($node, log_line_prefix => '%m [%p] %e ');
my $marked = -s $node->logfile;
sql("$open; $close");
is_deeply([ heads($marked, 'IU_LG LOG:  ') ], [ rows() ], 'a head in the log has a SQLSTATE of its own');
my ($real) = slurp_file($node->logfile, $marked) =~ /(iu_core ledger head: .*)$/m;
$marked = -s $node->logfile;
sql("CREATE ROLE stranger LOGIN");
is(($node->psql('postgres', "DO \$\$ BEGIN RAISE LOG USING MESSAGE = '$real', ERRCODE = 'IUXLG'; END \$\$",
	extra_params => [ '-U', 'stranger' ]))[0], 0, 'anybody can have the words of a head logged');
is_deeply([ heads($marked, 'IU_LG LOG:  ') ], [], 'the words of a head that somebody had logged have not its SQLSTATE');
is(scalar(my @forged = heads($marked, 'IUXLG LOG:  ')), 1, 'the words of a head that somebody had logged have another');
like(error_of("DO \$\$ BEGIN RAISE LOG USING MESSAGE = '$real', ERRCODE = 'IU_LG'; END \$\$"),
	qr/unrecognized exception condition/, 'the SQLSTATE of a head cannot be given to a line');

note 'the log';
my $from = -s $node->logfile;
sql("$open; $close");
is_deeply([ heads($from) ], [ (rows())[ -2, -1 ] ], 'each committed change is logged with its hash');

$from = -s $node->logfile;
sql("BEGIN; $open; ROLLBACK");
is_deeply([ heads($from) ], [], 'a change that is rolled back is not logged');
my $before = scalar(my @unused = rows());
sql("BEGIN; SAVEPOINT a; $open; ROLLBACK TO a; SAVEPOINT b; $open; SAVEPOINT c; $close; RELEASE c; RELEASE b;"
	  . " SAVEPOINT d; $open; ROLLBACK TO d; COMMIT");
my @all = rows();
is_deeply([ heads($from) ], [ @all[ $before .. $#all ] ], 'a change that a savepoint took back is not logged');
is(scalar(@all), $before + 2, 'of the changes under savepoints two are committed');

$from = -s $node->logfile;
sql("BEGIN; $open; PREPARE TRANSACTION 'opening'");
is_deeply([ heads($from) ], [], 'a prepared opening is not logged as a head');
is(scalar(my @pending = heads($from, 'LOG:  if the prepared transaction commits: ')), 1,
	'a prepared opening is logged as pending');
sql("COMMIT PREPARED 'opening'");
is((rows())[-1], $pending[0], 'a prepared opening that is committed has the hash that was logged as pending');
sql($close);

note 'one chain';
my $first = $node->background_psql('postgres');
my $insert = "INSERT INTO iu_gate_transition (gate_key, action, new_value, actor) VALUES ('$gate', 'close', 'false',"
	  . " 'owner')";
$first->query_safe("BEGIN; SET ROLE iu_core_owner; $insert");
my $second = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' application_name=second',
		'-c', 'SET ROLE iu_core_owner', '-c', $insert ], '<', \undef, '>', \my $out, '2>', \my $err);
becomes("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'second' AND wait_event_type = 'Lock')",
	"a row that is written beside the functions waits for the gate's transaction");
$first->query_safe('COMMIT');
$second->finish;
is(sql("SELECT fn_iu_gate_ledger_verify() ->> 'ok'"), 'true',
	'rows that two sessions write beside the functions make one chain');
is($err, '', "a row that waited for the gate's transaction is written without error");
$first->quit;

note 'audit or refuse';
sql(<<'SQL');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no room for the ledger'; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON iu_gate_transition FOR EACH ROW EXECUTE FUNCTION refuse();
SQL
like(error_of($open), qr/no room for the ledger/, 'an opening whose ledger row cannot be written fails');
is(IU::Gate->state($node, $gate), 'false closed', 'a gate whose opening cannot be written down stays closed');
sql('DROP FUNCTION refuse() CASCADE');

note 'dump and restore';
my $dump = $node->basedir . '/ledger.dump';
my $head = (rows())[-1] =~ s/.* //r;
dump_to($node, $dump);
sql("CREATE DATABASE copy TEMPLATE template0; ALTER DATABASE copy SET timezone = 'Asia/Kathmandu'; ALTER DATABASE copy"
	  . " SET datestyle = 'SQL, DMY'");
{
	local $ENV{PGOPTIONS} = '-c timezone=America/St_Johns -c datestyle=German -c intervalstyle=sql_standard';
	$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $dump ],
		'the database is restored under other settings of time and date');
}
is(sql("SELECT fn_iu_gate_ledger_verify(NULL, '{\"$gate\": \"$head\"}') ->> 'ok'", 'copy'), 'true',
	'the restored chain verifies, up to the head that was logged');
sql("$open; $close", 'copy');
is(sql("SELECT fn_iu_gate_ledger_verify(NULL, '{\"$gate\": \"$head\"}') ->> 'ok'", 'copy'), 'true',
	'the restored chain verifies after further changes');
is(sql("SELECT min(c.transition_seq) > $before FROM iu_gate_transition c WHERE database_oid = iu_core.database_oid()",
	'copy'), 't', 'the numbers of further changes follow those of the restored rows');

$node->stop;
done_testing();
