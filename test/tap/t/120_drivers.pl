# What drivers of other languages make of the database: each reads every table and
# view without an error, an infinite time or a number that is none, calls functions
# with arguments of their types, and tells each refusal by SQLSTATE and constraint
# name, with its figures in the detail.
use strict;
use warnings;
use IPC::Run;
use IU::Cluster;
use IU::SQL;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my %program = map { $_ => $ENV{"IU_DRIVER_$_"} } qw(psycopg asyncpg pgjdbc pg);
plan skip_all => 'no driver is there: ' . ($ENV{IU_NO_DRIVER} // 'DRIVERS names none')
  unless grep { defined } values %program;

# Nothing is sent: attempts are recorded by hand. A driver that knows no sockets needs an address.
my $node = IU::Cluster->new_installed('drivers', 'iu_core.senders' => 0, listen_addresses => '127.0.0.1',
	'iu_core.allowed_origins' => 'https://hooks.example');
talk_to($node);
IU::Cluster->wait_for_worker($node, 'watchdog');
IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-d', 'postgres',
		'-f', 'peers/drivers/fixture.sql' ], '>', \my $said, '2>', \my $complaints);
is(join("\n", grep { /ERROR/ } split /\n/, $complaints), '', 'the database has something of every kind');

my @relations = split /\n/, sql(<<'SQL');
SELECT c.oid::regclass FROM pg_class c WHERE c.relkind IN ('r', 'v', 'm', 'p') AND NOT c.relispartition
   AND c.relowner = 'iu_core_owner'::regrole AND c.relnamespace IN ('public'::regnamespace, 'iu_core'::regnamespace)
UNION ALL SELECT d.objid::regclass FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'v')
 WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND c.relnamespace = 'iu_core'::regnamespace ORDER BY 1
SQL
cmp_ok(scalar @relations, '>', 60, 'there are more than 60 tables and views to read');

# ---- what each driver calls, as whom, and what it is told

my ($fresh, $name);
sub uuid { return sprintf '00000000-0000-4000-8000-%012x', ++$fresh }

# What a call answers: a value, a key of an object, or the constraint that refuses, its SQLSTATE, what its detail has.
sub calls
{
	my ($approval, $subject, $gate) = (uuid(), uuid(), [ text => 'iu_core.composer_enabled' ]);
	my $tomorrow = sql(q{SELECT to_char((now() + interval '1 day') AT TIME ZONE 'UTC',}
		  . q{ 'YYYY-MM-DD"T"HH24:MI:SS+00:00')});
	my $open = 'SELECT fn_iu_gate_open($1, $2, $3, $4, $5)';
	my $emit = 'SELECT fn_iu_emit_event($1, $2, $3, $4, $5, $6, $7)';
	my $add  = 'SELECT fn_iu_route_add($1, $2, $3, $4, $5, p_timeout_ms => $6, p_retry_policy => $7)';
	my $approvers = 'SELECT fn_iu_gate_approvers_set($1, $2, $3, $4)';
	my $arm  = 'SELECT fn_iu_route_arm($1, $2, $3, $4, $5)';
	my @who  = ([ text => 'somebody' ], [ text => 'a reason' ]);
	my @new_route = ([ text => "route of $name" ], [ text => 'version_applied' ],
		[ text => 'https://hooks.example/n' ]);
	$new_route[0][1] =~ tr/ /_/;
	my @armed = ([ timestamptz => '2026-01-01T00:00:00+00:00' ], [ interval => 3600 ]);

	return (
		[ olga => $open, [ $gate, [ uuid => uuid() ], @who, [ integer => 60 ] ], { status => 'opened' } ],
		[ oscar => $open, [ $gate, [ uuid => uuid() ], [ text => 'me' ], [ text => 'too' ], [ integer => 60 ] ],
			[ iu_gate_is_open => '55006', qr/Holder: somebody;.*end: \d{4}-/ ] ],
		[ olga => $open, [ $gate, [ uuid => uuid() ], @who, [ integer => 3601 ] ],
			[ iu_gate_ttl => '23514', qr/3601/ ] ],
		[ olga => $open, [ $gate, [ uuid => undef ], @who, [ integer => 60 ] ],
			[ iu_approval_id_required => '23514' ] ],
		[ olga => $open, [ [ text => 'iu_core.vector_sync_enabled' ], [ uuid => uuid() ], @who, [ integer => 60 ] ],
			[ iu_gate_never_flip => '42501' ] ],
		[ olga => $open, [ [ text => 'nope' ], [ uuid => uuid() ], @who, [ integer => 60 ] ],
			[ iu_gate_not_governable => '42501' ] ],
		[ cms => $open, [ $gate, [ uuid => uuid() ], @who, [ integer => 60 ] ], [ iu_role_required => '42501' ] ],
		[ wim => $open, [ $gate, [ uuid => uuid() ], @who, [ integer => 60 ] ], [ undef, '42501' ] ],
		[ robot => 'SELECT fn_iu_gate_close($1, $2, $3)', [ $gate, @who ], [ iu_gate_not_held => '42501' ] ],
		[ olga => 'SELECT fn_iu_gate_close($1, $2, $3)', [ $gate, @who ], { status => 'closed' } ],
		[ rita => 'SELECT fn_iu_gate_verify_closed($1)', [ [ text => undef ] ], { never_flip_intact => 1 } ],
		[ oscar => 'SELECT fn_iu_gate_approval_grant($1, $2, $3, $4, $5, $6, $7, $8, $9)', [ $gate, [ text => 'open' ],
				[ integer => 60 ], [ timestamptz => $tomorrow ], [ text => 'oscar' ], $who[1], [ text => 'single' ],
				[ text => 'robot' ], [ uuid => $approval ] ], { status => 'granted' } ],
		[ robot => $open, [ $gate, [ uuid => $approval ], @who, [ integer => 61 ] ],
			[ iu_approval_ttl => 'IU108', qr/60/ ] ],
		[ robot => $open, [ $gate, [ uuid => $approval ], @who, [ integer => 60 ] ], { status => 'opened' } ],
		[ robot => 'SELECT fn_iu_gate_close($1, $2, $3)', [ $gate, @who ], { status => 'closed' } ],
		[ robot => $open, [ $gate, [ uuid => $approval ], @who, [ integer => 60 ] ], [ iu_approval_used => 'IU102' ] ],
		[ ada => $approvers, [ $gate, [ 'text[]' => [ 'oscar', 'iu_core_admin' ] ], @who ], { status => 'set' } ],
		[ ada => $approvers, [ $gate, [ 'text[]' => [] ], @who ], { status => 'set' } ],
		[ wim => $emit, [ [ text => 'version_applied' ], [ text => "DOC/$name" ], [ uuid => $subject ],
				[ text => 'wim' ], [ jsonb => { n => 1 } ], [ text => "key of $name" ], [ text => undef ] ],
			qr/^[0-9a-f-]{36}$/ ],
		[ wim => $emit, [ [ text => 'version_applied' ], [ text => "DOC/$name" ], [ uuid => $subject ],
				[ text => 'wim' ], [ jsonb => { n => 2 } ], [ text => "key of $name" ], [ text => undef ] ],
			[ iu_event_key_used => '23505', qr/differs in: safe_payload/ ] ],
		[ wim => 'SELECT cardinality(fn_iu_emit_events($1))', [ [ jsonb => [ { event_type => 'version_applied',
							canonical_address => 'DOC/9', subject_ref => $subject, actor_ref => 'wim' } ] ] ],
			qr/^1$/ ],
		[ wim => 'SELECT fn_iu_emit_events($1)', [ [ jsonb => { n => 1 } ] ], [ iu_events_array => '23514' ] ],
		[ olga => $add, [ @new_route, @who, [ integer => 2000 ], [ jsonb => { max_attempts => 3 } ] ],
			{ status => 'registered' } ],
		[ olga => $add, [ @new_route, @who, [ integer => 2000 ], [ jsonb => undef ] ], [ iu_route_exists => '23505' ] ],
		[ olga => $add, [ [ text => 'other' ], @new_route[1, 2], @who, [ integer => 2000 ], [ jsonb => { max => 3 } ] ],
			[ iu_route_retry_policy => '23514' ] ],
		[ olga => 'SELECT fn_iu_route_allow($1, $2, $3)', [ $new_route[0], @who ], { status => 'allowed' } ],
		[ olga => $arm, [ $new_route[0], @who, @armed ], { status => 'armed' } ],
		[ olga => $arm, [ $new_route[0], @who, @armed ], [ iu_route_armed => '55006' ] ],
		[ olga => $arm, [ [ text => 'nope' ], @who, @armed ], [ iu_route_unknown => '42704' ] ],
		[ rita => 'SELECT fn_iu_route_explain($1, $2)', [ $new_route[0], [ uuid => uuid() ] ],
			{ code => 'event_unknown' } ],
		[ olga => 'SELECT fn_iu_route_dead_letter_replay_many($1, $2, $3, $4, $5, $6, $7, $8)', [ @who, $new_route[0],
				[ text => undef ], $armed[0], [ timestamptz => undef ], [ numeric => '0.5' ], [ integer => 10 ] ],
			{ status => 'ran' } ],
		[ olga => 'SELECT fn_iu_route_dead_letter_replay_many($1, $2, $3, $4, $5, $6, $7, $8)', [ @who, $new_route[0],
				[ text => undef ], $armed[0], [ timestamptz => undef ], [ numeric => '0' ], [ integer => 10 ] ],
			[ iu_dead_letters_rate => '23514', qr/\b0\b/ ] ],
		[ olga => 'SELECT fn_iu_change_window_open($1, $2, $3, $4, $5, $6, $7)', [ [ text => 'second' ],
				[ uuid => uuid() ], [ text => 'a purpose' ], [ text => 'olga' ], [ text => '/none.dump' ],
				[ bigint => 5_000_000_000 ], [ text => '0' x 64 ] ], [ iu_change_window_open => '55006' ] ],
		[ ada => 'SELECT fn_iu_invariant_enable($1, $2, $3, $4)', [ [ text => 'pair' ], [ boolean => \1 ], @who ],
			{ status => 'enabled' } ],
		[ rita => 'SELECT count(*) FROM iu_route_secret WHERE secret_ref = $1', [ [ text => 'x' ] ],
			[ undef, '42501' ] ]);
}

# For a program that does not read JSON: see peers/drivers/Jdbc.java.
sub as_lines
{
	my ($plan) = @_;
	my @lines = (@$plan{qw(host port database)}, scalar @{ $plan->{relations} }, @{ $plan->{relations} });
	for my $step (@{ $plan->{calls} })
	{
		push @lines, $step->{role}, $step->{sql}, scalar @{ $step->{arguments} };
		for my $argument (@{ $step->{arguments} })
		{
			my ($type, $value) = @$argument;
			push @lines, $type, !defined $value ? '\N' : $type eq 'jsonb' ? encode_json($value)
			  : $type eq 'boolean' ? $$value : ref $value ? join(',', @$value) : $value;
		}
	}
	return join '', map { "$_\n" } @lines;
}

sub asked
{
	my ($driver, $plan) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir . "/$driver.plan";
	append_to_file($file, $driver eq 'pgjdbc' ? as_lines($plan) : encode_json($plan));
	my @command = split /\n/, $program{$driver};
	splice @command, $driver eq 'pg' ? 2 : scalar @command, 0, $file;
	IPC::Run::run(\@command, '>', \my $answers, '2>', \my $errors);
	is($errors, '', "$driver: its program runs");
	return decode_json($answers);
}

sub judge_call
{
	my ($driver, $step, $wanted, $told) = @_;
	my $what = "$driver: " . ($step->{sql} =~ /(fn_\w+|iu_route_secret)/)[0] . " by $step->{role}";
	my $seen = encode_json($told);

	if (ref $wanted eq 'ARRAY')
	{
		my ($constraint, $sqlstate, $detail) = @$wanted;
		is(join(' ', map { $_ // '' } $told->{sqlstate}, $told->{constraint}), join(' ', $sqlstate, $constraint // ''),
			"$what is refused with $sqlstate" . ($constraint ? ", $constraint" : '')) or diag($seen);
		like($told->{detail} // '', $detail, "$what: the figures are in the detail") if $detail;
	}
	elsif (ref $wanted eq 'HASH')
	{
		my ($key) = keys %$wanted;
		is(ref $told->{value} ? '' . $told->{value}{$key} : $seen, $wanted->{$key}, "$what: $key is $wanted->{$key}");
	}
	else { like($told->{value} // $seen, $wanted, "$what answers") }
	return;
}

for my $driver (sort keys %program)
{
	SKIP:
	{
		skip("no $driver: DRIVERS does not name it, or it cannot be had", 1) unless defined $program{$driver};
		$name = $driver;
		my @calls = calls();
		my $plan = { host => '127.0.0.1', port => $node->port, database => 'postgres', relations => \@relations,
			calls => [ map { { role => $_->[0], sql => $_->[1], arguments => $_->[2] } } @calls ] };
		my $told = asked($driver, $plan);
		note("$told->{driver}: $_ " . encode_json($told->{relations}{$_})) for @relations;

		my @unread = grep { !defined $told->{relations}{$_}{rows} } @relations;
		is(join("\n", map { "$_: $told->{relations}{$_}{message}" } @unread), '',
			"$told->{driver} reads every table and view");
		my @wrong = grep { @{ $told->{relations}{$_}{wrong} // [] } } @relations;
		is(join(' ', map { "$_: @{ $told->{relations}{$_}{wrong} }" } @wrong), '',
			"$told->{driver} finds no infinite time, no number that is none, and no row within a row");
		my $filled = grep { $told->{relations}{$_}{rows} } @relations;
		cmp_ok($filled, '>', 55, "$told->{driver} finds rows in more than 55 of them");
		judge_call($told->{driver}, $plan->{calls}[$_], $calls[$_][3], $told->{calls}[$_]) for 0 .. $#calls;
	}
}

$node->stop;
done_testing();
