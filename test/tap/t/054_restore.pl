# A database in use is dumped and restored: the same rows, the triggers in force,
# nothing emitted, and what was open reads closed in the copy.
use strict;
use warnings;

use IU::Cluster;
use IU::Dump;
use IU::Gate;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $open = 'iu_core.delivery_enabled';

my $node = IU::Cluster->new_node('original');
IU::Cluster->install($node);
my $dump = $node->basedir . '/original.dump';

# Name, row count and content of every table that a dump has to carry.
sub content
{
	my ($server, $database) = @_;
	my $tables = $server->safe_psql($database,
		"SELECT string_agg(format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, E''\\n''"
		  . " ORDER BY t::text COLLATE \"C\"), '''')) FROM %s t', c.oid::regclass, c.oid::regclass), ' UNION ALL ')"
		  . " FROM pg_class c WHERE relkind IN ('r', 'p') AND (relnamespace = 'public'::regnamespace"
		  . " OR oid = 'iu_core.applied_migration'::regclass)");
	return $server->safe_psql($database, "SET timezone = 'UTC'; $tables ORDER BY 1");
}

sub use_database
{
	my ($server, $database) = @_;
	$server->safe_psql($database, <<'SQL');
CREATE TABLE public.mine (id int PRIMARY KEY);
INSERT INTO mine VALUES (1);
SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'operator', 'short', 1);
SELECT fn_iu_gate_open('iu_core.structure_ops_enabled', gen_random_uuid(), 'operator', 'closed by hand', 600);
SELECT fn_iu_gate_close('iu_core.structure_ops_enabled', 'operator', 'done');
SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'operator', 'test');
SELECT fn_dot_iu_command_log('dot_iu_gate_verify_closed', 'read', 'verify', 'verified', false, NULL,
  iu.fn_iu_gate_snapshot(), '{}', 'auditor');
SELECT fn_iu_emit_event('version_applied', 'iu:' || n, gen_random_uuid(), 'agent', jsonb_build_object('n', n))
  FROM generate_series(1, 20) n;
SQL
	IU::Gate->wait_for_ledger($server, 'iu_core.composer_enabled', 'open watchdog_close')
		  or die 'the gate does not close';
	IU::Gate->open($server, $open, 3600);
}

sub check_copy
{
	my ($what, $server, $database, $expected) = @_;
	my $value = sub { return $server->safe_psql($database, $_[0]) };
	my $refusal = sub { return error_of($_[0], server => $server, database => $database) =~ /ERROR:  (\w{5}: .*)/ ? $1
		  : '' };

	subtest "the copy is whole, closed and usable: $what" => sub {
		is(content($server, $database), $expected,
			'the copy has the same rows in every table, and the restore emitted nothing');
		is($value->('SELECT count(*) FROM event_outbox'), 20, 'the copy has the twenty events of the original');
		is(IU::Gate->state($server, $open, $database), 'true closed',
			'the gate that is open in the original reads closed in the copy');
		is($value->('SELECT fn_iu_delivery_enabled()'), 'f', 'the capability of the open gate is off in the copy');
		is($value->("SELECT v ->> 'all_safe' FROM fn_iu_gate_verify_closed() v"), 'false',
			'verify does not say that all is safe in the copy');
		is($value->("SELECT g ->> 'reason' FROM jsonb_array_elements(fn_iu_gate_verify_closed() -> 'gates') g"
			  . " WHERE NOT (g ->> 'is_safe')::boolean"),
			'opened in another database', 'verify says that the gate was opened in another database');
		is($value->('SELECT DISTINCT state FROM iu_core.migrations'), 'applied',
			'in the copy every migration is applied');
		is($value->('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0, 'the copy conforms');
		is($value->('SELECT count(*) FROM iu_core.migrate()'), 0, 'there is nothing to migrate in the copy');

		like($refusal->($_), qr/^42501: table "\w+" is append-only/, "refused in the copy: $_")
		  foreach 'DELETE FROM iu_gate_transition', 'UPDATE iu_gate_transition SET actor = NULL',
		'TRUNCATE dot_iu_command_run',
		  'SET session_replication_role = replica; DELETE FROM iu_gate_transition';
		like($refusal->("INSERT INTO iu_gate_transition (gate_key, action, actor, created_at)"
			  . " VALUES ('$open', 'close', 'x', '2020-01-01')"),
			qr/^23514: a gate transition is dated by the clock/,
			'a transition that is dated back is refused in the copy');
		like($refusal->("INSERT INTO event_outbox (event_domain, event_type, event_stream, delivery_lane,"
			  . " event_subject_table, event_subject_ref, source_system)"
				  . " VALUES ('iu', 'nonsense', 'update', 'immediate', 't', 'r', 's')"),
			qr/^23514: event type "iu.nonsense" is not registered/,
			'an event of an unknown type is refused in the copy');
		like($refusal->('SELECT iu_core.rollback(0, false, true)'), qr/^55006: /,
			'a rollback is refused in the copy while the value of a gate says true');

		is($value->("SELECT fn_iu_gate_open('$open', gen_random_uuid(), 'restorer', 'here', 3600) ->> 'status'"),
			'opened', 'the gate can be opened anew in the copy');
		is(IU::Gate->state($server, $open, $database), 'true open', 'the gate that was opened in the copy reads open');
		$value->("SELECT fn_iu_gate_close('$open', 'restorer', 'done')");
		is($value->("SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'true',
			'with its gate closed verify says that all is safe in the copy');
		is($value->("SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok"), 0,
			'the copy conforms after its gate was used');
	};
}

use_database($node, 'postgres');
my $content = content($node, 'postgres');
like($content, qr/^event_outbox\|20\|/m, 'the original has events');
like($content, qr/^iu_gate_transition\|5\|/m, 'the original has transitions of gates');
like($content, qr/^iu_core\.applied_migration\|\d+\|/m, 'the original has a record of migrations');
is(IU::Gate->state($node, $open), 'true open', 'the original has an open gate');
dump_to($node, $dump);

restore_into($node, 'copy', $dump);
check_copy('a new database of the same cluster', $node, 'copy', $content);

restore_into($node, 'served', $dump);
is(IU::Gate->state($node, $open, 'served'), 'true closed', 'the open gate reads closed in a copy that is to be served');
IU::Cluster->reload($node, 'iu_core.databases' => 'postgres, served');
$node->poll_query_until('served', "SELECT value FROM dot_config WHERE key = '$open'", 'false');
is($node->safe_psql('served', "SELECT action || ' ' || reason FROM iu_gate_transition WHERE gate_key = '$open'"
	  . " ORDER BY transition_seq DESC LIMIT 1"),
	'watchdog_close opened in another database', 'the watchdog of a copy closes what the copy never opened');

# The watchdog is there before the triggers are.
$node->safe_psql('postgres', 'CREATE DATABASE early TEMPLATE template0');
sub restore_section
{
	$node->command_ok([ $node->installed_command('pg_restore'), '--exit-on-error', "--section=$_[0]", '-d',
		$node->connstr('early'), $dump ],
		"section $_[0] is restored into a database that is served");
}
restore_section('pre-data');
restore_section('data');
IU::Cluster->reload($node, 'iu_core.databases' => 'postgres, served, early');
talk_to($node);
becomes("SELECT EXISTS (SELECT FROM iu_core.worker_status WHERE database = 'early'"
	  . " AND role = 'watchdog' AND state = 'failing' AND (counters ->> 'errors')::int > 2)",
	'the watchdog of a copy cannot close a gate before the triggers are restored');
restore_section('post-data');
$node->poll_query_until('early', "SELECT value FROM dot_config WHERE key = '$open'", 'false');
is(IU::Gate->ledger($node, $open, 'early'), 'open watchdog_close',
	'the watchdog of a copy closes the gate once, when the triggers are restored');
is($node->safe_psql('early', 'SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), 0,
	'a copy that was served while it was restored conforms');

$node->safe_psql('template1', 'CREATE DATABASE clone TEMPLATE postgres');
check_copy('a database made with the original as template', $node, 'clone', $content);

my $elsewhere = IU::Cluster->new_node('elsewhere', 'iu_core.databases' => '');
restore_into($elsewhere, 'restored', $dump);
check_copy('a new cluster', $elsewhere, 'restored', $content);

# Without the library nothing is open, not even what was opened right here.
$elsewhere->safe_psql('restored', "SELECT fn_iu_gate_open('$open', gen_random_uuid(), 'restorer', 'here', 3600)");
$elsewhere->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$elsewhere->restart;
is(IU::Gate->state($elsewhere, $open, 'restored'), 'true closed',
	'without the preloaded library the gate reads closed, though it was opened in this very database');

is(IU::Gate->state($node, $open), 'true open', 'the gate of the original is still open');
is(content($node, 'postgres'), $content, 'the original has every row that it had');

done_testing();
