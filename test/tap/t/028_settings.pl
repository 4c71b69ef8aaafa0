# Every setting that whoever owns a database may set for it, to its least kind
# value: a session opens, closes, emits, checks and reads reports as without it,
# or is refused for the reason listed here; migrations run and conform; workers
# close, deliver, call and check as if nothing were set.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Receiver;
use IU::Routes;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Receiver->start;
# Some settings have every plan and every sort written to the log: 4 GB of it.
my $node = IU::Cluster->new_node('settings', 'log_min_messages' => 'fatal', 'iu_core.databases' => '',
	'iu_core.allowed_origins' => $receiver->origin, 'iu_core.allowed_networks' => '127.0.0.0/8');

# What a session cannot do under a setting, and why. Refused by PostgreSQL
# or by the function, and nothing is done halfway.
my %refused = (
	'default_transaction_read_only=on' =>
	  [ qr/cannot execute .* in a read-only transaction/, 'nothing may be written' ],
	(map { ("default_transaction_isolation=$_" => [ qr/a check needs isolation level READ COMMITTED/,
			'an older snapshot would be compared with what a remote holds now' ]) }
	  'read uncommitted', 'repeatable read', 'serializable'),
	'exit_on_error=on' => [ qr/FATAL:  read/, 'a check undoes what it has read by an error, which ends the session' ],
	'idle_session_timeout=1' => [ qr/idle-session timeout/, 'the session is ended between two statements' ],
	'statement_timeout=1' => [ qr/canceling statement due to statement timeout/, 'a statement takes longer than 1 ms' ],
	'transaction_timeout=1' => [ qr/terminating connection due to transaction timeout/, 'a transaction takes longer' ],
	'restrict_nonsystem_relation_kind=view, foreign-table' =>
	  [ qr/access to non-system view .* is restricted/, 'no view may be read, and how gates stand is one' ],
);

# What may be as well as not, since it hangs on how long something takes.
my %sometimes = map { ("$_=1" => 1) } qw(statement_timeout idle_session_timeout transaction_timeout);

# Least kind values of settings that are texts; of others the one that is least like the default.
my %texts = (
	'DateStyle' => 'German', 'TimeZone' => 'Asia/Kathmandu', 'search_path' => 'pg_temp, nowhere',
	'client_encoding' => 'LATIN1', 'temp_tablespaces' => 'nowhere', 'default_tablespace' => 'nowhere',
	'timezone_abbreviations' => 'Australia', 'createrole_self_grant' => 'set, inherit', 'lc_monetary' => 'C',
	'lc_numeric' => 'C', 'lc_time' => 'C', 'default_text_search_config' => 'pg_catalog.simple',
	'restrict_nonsystem_relation_kind' => 'view, foreign-table', 'application_name' => q(it's "x"),
	'default_table_access_method' => 'nowhere', 'plpgsql.extra_errors' => 'all', 'plpgsql.extra_warnings' => 'all');

# The first is loaded by every session, which ends where there is no such file; the second is refused for a database.
my %unset = ('local_preload_libraries' => 1, 'app.canonical_writer' => 1);

sub settings
{
	my $rows = sql(<<~'SQL');
		SELECT name, vartype, v FROM pg_settings s CROSS JOIN LATERAL unnest(CASE
		    WHEN name ~ '_timeout$' AND vartype = 'integer' THEN ARRAY['1']
		    WHEN name ~ '^jit_' AND vartype = 'real' THEN ARRAY['0']
		    WHEN vartype = 'bool' THEN ARRAY[CASE boot_val WHEN 'on' THEN 'off' ELSE 'on' END]
		    WHEN vartype = 'enum' THEN (SELECT array_agg(e) FROM unnest(enumvals) e WHERE e <> boot_val)
		    WHEN vartype = 'string' THEN ARRAY['']
		    ELSE ARRAY[CASE WHEN min_val <> boot_val THEN min_val ELSE max_val END] END) v
		 WHERE context = 'user' ORDER BY 1, 3
		SQL
	my @settings = map { [ split /\|/, $_, 3 ] } split /\n/, $rows;
	my %known = map { ($_->[0] => 1) } @settings;

	$_->[2] = $texts{ $_->[0] } // '' foreach grep { $_->[1] eq 'string' } @settings;
	push @settings, map { [ $_, 'string', $texts{$_} ] } grep { /^plpgsql/ && !$known{$_} } sort keys %texts;
	push @settings, [ 'plpgsql.check_asserts', 'bool', 'off' ] if !$known{'plpgsql.check_asserts'};
	return grep { !$unset{ $_->[0] } && ($_->[1] ne 'string' || exists $texts{ $_->[0] }) } @settings;
}

# ALTER ... SET, or undef where the server takes no such value for a database.
sub alter
{
	my ($what, $name, $value) = @_;
	my $list = $name =~ /^(?:search_path|DateStyle|temp_tablespaces|createrole_self_grant|restrict_)/;
	my $error = error_of("ALTER $what SET $name = " . ($list ? $value =~ s/(\w[\w-]*)/'$1'/gr : literal($value)));
	return $error =~ /ERROR/ ? undef : 1;
}

sub install
{
	my ($database) = @_;
	sql("CREATE DATABASE $database");
	sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()', $database);
	return;
}

my $what_people_do = <<'SQL';
SELECT public.fn_iu_gate_open('iu_core.composer_enabled', '4f0c6a3e-9f0e-4c6e-8a57-0d2c6c1f7b11', 'ann', 't', 60)
  ->> 'status';
SELECT iu_core.gate_is_open('iu_core.composer_enabled'),
       (SELECT reason ~ '^open until' FROM public.v_iu_gate WHERE gate_key = 'iu_core.composer_enabled');
SELECT public.fn_iu_gate_close('iu_core.composer_enabled', 'ann', 't') ->> 'status';
SELECT public.fn_iu_gate_verify_closed() ->> 'all_safe', public.fn_iu_gate_ledger_verify() ->> 'ok';
SELECT public.fn_iu_emit_event('version_applied', 'A/1', '4f0c6a3e-9f0e-4c6e-8a57-0d2c6c1f7b11', 'ann', '{"a": 1.5}')
  IS NOT NULL;
SELECT i::text ~ '^[(]held,pass,1.5,1.5,' FROM public.fn_iu_invariant_check('held') i;
SELECT public.fn_iu_gate_ledger_excerpt(now() - interval '1 hour', now())
  ~ '[|] 20[0-9][0-9]-[0-9][0-9]-[0-9][0-9] .*Chain: verified';
SELECT public.fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 't') ->> 'status';
SELECT public.fn_iu_route_add('r' || pg_backend_pid(), 'version_applied', 'https://hooks.example/x?a=%20b', 'ann', 't')
  ->> 'status';
SELECT public.fn_dot_iu_runtime_lease_acquire('lease', 'driver', 1) IS NOT NULL;
SQL

# What psql printed, and all that it complained of but warnings.
sub people_do
{
	my ($out, $err) = ('', '');
	$node->psql('people', $what_people_do, stdout => \$out, stderr => \$err, on_error_stop => 0);
	return ($out, $err);
}

# ---- sessions

# Those that are refused are alone; the others are eight at a time, a setting once in each.
sub groups
{
	my @alone = grep { is_told_apart($_) } @_;
	my @others = grep { !is_told_apart($_) } @_;
	my $many = int(@others / 8) + 1;
	my @groups;

	push @{ $groups[ $_ % $many ] }, $others[$_] foreach 0 .. $#others;
	return @groups, map { [$_] } @alone;
}

sub is_told_apart
{
	my $what = "$_[0][0]=$_[0][2]";
	return $refused{$what} || $sometimes{$what};
}

# Tries sessions with some settings, and with each alone where they do not behave with all.
# Returns the settings under which sessions behave.
sub in_turn
{
	my ($usual, @settings) = @_;
	my @set = grep {
		alter('DATABASE people', $_->[0], $_->[2]) or note("$_->[0]=$_->[2] cannot be set for a database") && 0
	} @settings;
	my $what = join ', ', map { "$_->[0]=$_->[2]" } @set;
	return if !@set;

	my ($out, $err) = people_do();
	sql("ALTER DATABASE people RESET ALL");
	# A session that was ended halfway has not come to its close.
	sql("SELECT fn_iu_gate_close('iu_core.composer_enabled', 'ann', 't')", 'people') if $out ne $usual;
	if (@set > 1 && $out ne $usual)
	{
		my @alone = map { in_turn($usual, $_) } @set;
		isnt(scalar @alone, scalar @set, "sessions that misbehave with $what do so with one of these alone")
		  or diag($err);
		return @alone;
	}

	my ($pattern, $reason) = @{ $refused{$what} // [] };
	if ($pattern && !($out eq $usual && $sometimes{$what}))
	{
		like($err, $pattern, "$what: refused, because $reason");
		return;
	}
	is($out, $usual, "people do what they do otherwise with $what") or diag($err);
	return @set;
}

sub sessions_behave
{
	my @works;
	install('people');
	sql("SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 't');
		CREATE VIEW held AS SELECT 1.5::float8 AS left_value, 1.5::float8 AS right_value;
		GRANT SELECT ON held TO iu_core_owner;
		SELECT fn_iu_invariant_register('held', 'held', 'both are the same', 'ann', 't')", 'people');
	my ($usual) = people_do();
	like($usual, qr/^opened\nt\|t\nclosed\ntrue\|true\nt\nt\nt\nunchanged\nregistered\nt$/,
		'people open, close, emit, check and read as they should where nothing is set');
	foreach my $group (groups(settings()))
	{
		push @works, in_turn($usual, @$group);
	}
	return @works;
}

# ---- migrations, under all that sessions can work with

# One value of each; an older snapshot than READ COMMITTED has is refused by migrate() with that reason. A client
# that takes a millisecond before it asks is not the subject; nor is a planner to which every plan costs nothing, which
# takes minutes: what reading a page costs stays.
sub migrations_run
{
	my %value = map { ($_->[0] => $_->[2]) } @_;
	delete @value{qw(default_transaction_isolation exit_on_error client_min_messages lock_timeout),
		'idle_session_timeout', grep { /_page_cost$/ } keys %value};
	sql('CREATE DATABASE made');
	alter('DATABASE made', $_, $value{$_}) foreach sort keys %value;
	sql('CREATE EXTENSION iu_core', 'made');
	cmp_ok(sql('SELECT count(*) FROM iu_core.migrate()', 'made'), '>', 300,
		'migrations run under ' . keys(%value) . ' settings');
	is(sql('SELECT count(*) FROM public.fn_iu_conformance() WHERE NOT ok', 'made'), '0', 'and what they made conforms');
	sql('ALTER DATABASE made RESET ALL');
	is(sql('SELECT count(*) FROM public.fn_iu_conformance() WHERE NOT ok', 'made'), '0', 'without them as well');
	is(sql('SELECT count(*) > 300 FROM iu_core.rollback(0)', 'made'), 't', 'a rollback undoes it');
	foreach my $isolation ('repeatable read', 'serializable')
	{
		alter('DATABASE made', 'default_transaction_isolation', $isolation);
		like(error_of('SELECT * FROM iu_core.migrate()', database => 'made'), qr/needs isolation level READ COMMITTED/,
			"migrate() says why it does not run at $isolation");
	}
	return;
}

# ---- workers, under all at once

# The test's own sessions do without those that would stop them.
my $own = '-c statement_timeout=0 -c idle_session_timeout=0 -c default_transaction_read_only=off -c exit_on_error=off'
  . ' -c default_transaction_isolation=read\ committed -c client_encoding=UTF8 -c search_path=public'
  . ' -c client_min_messages=error'
  . ' -c lock_timeout=0 -c datestyle=ISO -c row_security=on -c standard_conforming_strings=on'
  . join('', map { " -c debug_print_$_=off" } qw(parse rewritten plan));

sub workers_behave
{
	my ($what, $database, @settings) = @_;
	my %value = map { ($_->[0] => $_->[2]) } @settings;
	install($database);
	talk_to($node, $database);
	switches_on();
	sql('CREATE VIEW held AS SELECT 1.5::float8 AS left_value, 1.5::float8 AS right_value;
		GRANT SELECT ON held TO iu_core_owner');
	sql("CREATE TABLE called (n int); GRANT INSERT ON called TO consumer;
		CREATE FUNCTION calls(p_event uuid, p_payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
		  SET search_path = pg_catalog, pg_temp AS \$\$ BEGIN INSERT INTO public.called VALUES (1);
		    PERFORM set_config('work_mem', '64kB', false), set_config('jit', 'on', false); END \$\$;
		REVOKE ALL ON FUNCTION calls(uuid, jsonb) FROM PUBLIC; ALTER FUNCTION calls(uuid, jsonb) OWNER TO consumer;
		GRANT EXECUTE ON FUNCTION calls(uuid, jsonb) TO iu_core_owner");
	sql("SELECT fn_iu_invariant_register('held', 'held', 'both are the same', 'ann', 't', p_every_seconds => 1)");
	sql("SELECT fn_iu_route_function_register('calls', 'ann', 't')");
	add_route('sends', $receiver->origin . "/ok?$database");
	add_route('calls', 'calls', kind => 'sql_function');
	talk_to($node);
	alter($what, $_, $value{$_}) foreach sort keys %value;
	IU::Cluster->reload($node, 'iu_core.databases' => $database);

	local $ENV{PGOPTIONS} = $own . (exists $value{transaction_timeout} ? ' -c transaction_timeout=0' : '')
	  . (exists $value{restrict_nonsystem_relation_kind} ? ' -c restrict_nonsystem_relation_kind=' : '');
	talk_to($node, $database);
	my $under = "with what $what was given";
	becomes("SELECT count(*) = 3 FROM iu_core.worker_status WHERE database = '$database' AND state = 'running'",
		"the workers run $under");
	sql("SELECT fn_iu_gate_open('iu_core.delivery_enabled', gen_random_uuid(), 'ann', 't', 3600)");
	sql("SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), 'ann', 't', 1)");
	emit(3);
	becomes("SELECT value = 'false' FROM dot_config WHERE key = 'iu_core.composer_enabled'",
		"the watchdog closes $under");
	becomes('SELECT ' . attempts('sends', 'sent') . ' = 3', "the sender sends $under");
	becomes('SELECT count(*) = 3 FROM called', "the runner calls functions $under");
	becomes("SELECT verdict = 'pass' FROM v_iu_invariant WHERE invariant_code = 'held'",
		"the runner checks invariants $under");
	is(sql("SELECT bool_and(actor = 'iu_core watchdog') FROM iu_gate_transition WHERE action = 'watchdog_close'"), 't',
		"the ledger says who closed $under");
	is(sql("SELECT coalesce(string_agg(message, ', '), '') FROM iu_core.health() WHERE status = 'CRITICAL'"), '',
		"health is not red $under");
	talk_to($node);
	return;
}

talk_to($node);
sql('CREATE EXTENSION iu_core; CREATE ROLE consumer');
my @settings = settings();
cmp_ok(@settings, '>', 100, 'there are many settings that a user may set');
my @works = sessions_behave();
migrations_run(@works);
workers_behave('DATABASE work', 'work', @settings);
workers_behave('ROLE iu_core_worker', 'role_work', @settings);
$node->stop;
done_testing();
