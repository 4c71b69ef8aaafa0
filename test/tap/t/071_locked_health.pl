# Health answers whatever table somebody has locked: what it cannot read it says, with
# who holds the lock, and what it can read it tells. It never hangs with who holds it.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->new_installed('locked', max_prepared_transactions => 2);
talk_to($node);
my $holder = $node->background_psql('postgres');
$holder->set_query_timer_restart if $holder->can('set_query_timer_restart');
my $pid = $holder->query_safe("SET application_name = 'migrator'; SELECT pg_backend_pid()");

# Each of these asks for everything that is told of how things stand, and says who holds the lock where that keeps it
# from being told.
my %asks = (
	'fn_iu_route_worker_health' => "SELECT string_agg(p, E'\\n') FROM jsonb_array_elements_text("
	  . "fn_iu_route_worker_health() -> 'problems') p WHERE p ~ 'is locked by'",
	'v_iu_trouble' => "SELECT string_agg(trouble, E'\\n') FROM v_iu_trouble WHERE about = 'lock'"
	  . " AND severity = 'critical'",
	'fn_iu_gate_verify_closed' => 'SELECT NULL FROM fn_iu_gate_verify_closed()',
	'fn_iu_conformance' => 'SELECT NULL FROM fn_iu_conformance() LIMIT 1',
	'fn_iu_piece_event_runtime_healthcheck' => 'SELECT NULL FROM fn_iu_piece_event_runtime_healthcheck()');
my @functions = qw(fn_iu_route_worker_health fn_iu_troubles fn_iu_gate_verify_closed fn_iu_conformance);
is(sql("SELECT count(*) || ' ' || string_agg(DISTINCT s, ' ') FROM pg_proc p CROSS JOIN unnest(p.proconfig) s"
	  . " WHERE s ~ 'lock_timeout'"
	  . " AND p.oid::regproc::text IN (" . join(', ', map { literal("iu.$_") } @functions)
	  . ", 'fn_iu_piece_event_runtime_healthcheck')"), '5 lock_timeout=1s',
	'each that tells how things stand waits 1 s for a lock');

# What one of them says while a table is locked; nothing where it does not need the table.
sub says
{
	my ($what, $asking) = @_;
	my ($rows, $complaint) = ('', '');
	$node->psql('postgres', "SET statement_timeout = '${PostgreSQL::Test::Utils::timeout_default}s'; $asks{$what}",
		stdout => \$rows, stderr => \$complaint);
	return $complaint =~ s/^psql:\S+ //r . $rows;
}
is(says($_), '', "$_ has nothing to say of locks where there are none") foreach sort keys %asks;

note 'every table of iu_core, one after the other';
# So that a hundred locks are not waited for for a hundred seconds.
sql("ALTER FUNCTION iu.$_ SET lock_timeout = '20ms'") foreach @functions;
sql("ALTER FUNCTION fn_iu_piece_event_runtime_healthcheck SET lock_timeout = '20ms'");
my @tables = split /\n/, sql("SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
	  . " WHERE c.relkind = 'r' AND (c.relowner = 'iu_core_owner'::regrole OR n.nspname = 'iu_core')"
	  . " AND c.relname !~ '_[0-9]{8}\$' ORDER BY 1");
my %needs;
foreach my $table (@tables)
{
	my $holds = qr/\Q$table\E (?:is locked )?by pid $pid \(application "migrator", user postgres/;

	$holder->query_safe("BEGIN; LOCK TABLE ONLY $table IN ACCESS EXCLUSIVE MODE");
	foreach my $what (sort keys %asks)
	{
		my $said = says($what);
		next if $said eq '';
		push @{ $needs{$what} }, $table;
		like($said, $what =~ /runtime/ ? qr/canceling statement due to lock timeout/ : $holds,
			"$what says who has locked $table");
	}
	$holder->query_safe('ROLLBACK');
}
my %at_least = (
	'fn_iu_route_worker_health' => [qw(iu.iu_route_attempt_default iu_outbound_route iu_route_retry iu_route_lease
		  dot_config iu_route_dead_letter iu_place iu_route_hung event_outbox)],
	'v_iu_trouble' => [qw(iu_outbound_route iu_route_retry dot_config iu_gate_registry iu_gate_approval iu_invariant
		  iu_core.applied_migration)],
	'fn_iu_gate_verify_closed' => [qw(dot_config iu_gate_registry iu_gate_transition)],
	'fn_iu_conformance' => [qw(iu_governed_object dot_config)],
	'fn_iu_piece_event_runtime_healthcheck' => [qw(dot_config event_type_registry)]);
foreach my $what (sort keys %asks)
{
	my %found = map { $_ => 1 } @{ $needs{$what} // [] };
	is(join(' ', grep { !$found{$_} } @{ $at_least{$what} }), '', "$what was asked while what it reads was locked");
}

note 'a lock that is waited for, and one of a prepared transaction';
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM iu_route_retry');
start_query($holder, "BEGIN; LOCK TABLE iu_route_retry IN ACCESS EXCLUSIVE MODE;\n");
becomes("SELECT count(*) = 1 FROM pg_locks WHERE relation = 'iu_route_retry'::regclass AND NOT granted",
	'somebody waits to lock a table');
like(says($_), qr/iu_route_retry is locked by pid $pid /, "$_ says who waits to lock a table that somebody reads")
  foreach qw(fn_iu_route_worker_health v_iu_trouble);
is(sql("SELECT string_agg(about || name, ' ') FROM v_iu_trouble WHERE about = 'switch'"),
	'switchiu_core.routes_master_enabled', 'v_iu_trouble tells what it can read all the same');
$reader->query_safe('ROLLBACK');
$reader->quit;
$holder->quit;
sql("BEGIN; LOCK TABLE iu_route_retry IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'left over'");
like(says($_), qr/iu_route_retry is locked by prepared transaction "left over"/,
	"$_ says which prepared transaction holds a table")
  foreach qw(fn_iu_route_worker_health v_iu_trouble);
sql("ROLLBACK PREPARED 'left over'");

note 'a lock that would never come';
sql("ALTER FUNCTION iu.fn_iu_conformance SET lock_timeout = '60s'; CREATE TABLE in_hand ()");
my ($taker, $asker) = map { $node->background_psql('postgres', on_error_stop => 0) } 1, 2;
$asker->query_safe("SET deadlock_timeout = '10ms'; BEGIN; LOCK TABLE in_hand");
$taker->query_safe("SET deadlock_timeout = '60s'; BEGIN; LOCK TABLE iu_governed_object");
start_query($taker, 'LOCK TABLE in_hand');
becomes("SELECT count(*) = 1 FROM pg_locks WHERE relation = 'in_hand'::regclass AND NOT granted",
	'somebody who takes tables waits for who asks for conformance');
$asker->query($asks{fn_iu_conformance});
like($asker->{stderr}, qr/what conforms cannot be told: a table is locked.*iu_governed_object by pid/s,
	'who asks for conformance and would wait for ever is told of the lock, and of no difference');
$asker->{stderr} = '';
$asker->query('ROLLBACK');
$taker->query_safe('ROLLBACK');
$_->quit foreach $taker, $asker;

$node->stop;
done_testing();
