# 64 sessions that create, import, save, tag, move, enact and delete, with the gate
# of the envelope open: no caller is aborted by it, or waits longer for it than a refresh
# may wait for a lock; nothing ends in a deadlock; and in the end the envelope is the
# view. Then the same while a backend is killed every second, which takes the server down.
#
# IU_SECONDS is how long each goes on.
#
# Callers wait for each other's units, and none longer than $patience; who did would have
# an error. The refresh waits for a lock 200 ms at most, and no longer than half of
# deadlock_timeout: so the server, which logs each wait that lasts for deadlock_timeout,
# logs none of a refresh.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::LoaderA;
use IU::SQL;
use IU::Wait;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{IU_SECONDS} // 10;
my $gate    = 'iu_core.three_axis_auto_refresh_enabled';
my $patience = 60;
my $node    = IU::Cluster->new_installed('sessions', max_connections => 120, restart_after_crash => 'on',
	deadlock_timeout => '400ms', log_lock_waits => 'on');
talk_to($node);
IU::LoaderA->load($node);
IU::LoaderA->add($node, 1200);
sql(<<'SQL');
CREATE ROLE test_directus LOGIN;
GRANT SELECT, INSERT, UPDATE, DELETE ON information_unit TO test_directus;
CREATE SEQUENCE test_number;
SELECT fn_iu_policy_set('iu_edit.policy.default_mode', 'auto_apply', 'test', 'saved texts count at once') ->> 'status';
INSERT INTO iu_metadata_tag_registry (tag_key, tag_kind, label, registered_by)
  SELECT 'topic:' || n, 'topic', 'Topic ' || n, 'test' FROM generate_series(1, 9) AS n;
CREATE FUNCTION test_refused(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  SET LOCAL ROLE test_directus;
  EXECUTE p_sql;
  RETURN 'done';
EXCEPTION WHEN insufficient_privilege THEN
  RETURN 'refused';
END $$;
-- One thing that somebody does; what a canonical function answers is of no matter here.
CREATE FUNCTION test_act(p_what int, p_n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_address text := 'added/' || 1 + p_n % 1200;
  v_new     text := 'new/' || nextval('test_number');
BEGIN
  CASE p_what
    WHEN 0 THEN
      RETURN fn_iu_create(v_new, 'Title', 'Text', 'test', p_parent_ref =>
        (SELECT id FROM information_unit WHERE canonical_address = v_address)) ->> 'status';
    WHEN 1 THEN
      RETURN fn_iu_import(jsonb_build_array(
        jsonb_build_object('canonical_address', v_new || '/a', 'title', 't', 'body', 'b'),
        jsonb_build_object('canonical_address', v_new || '/b', 'title', 't', 'body', 'b')), 'test', false) ->> 'status';
    WHEN 2 THEN
      RETURN fn_iu_save(v_address, 'Text ' || v_new, 'test ' || v_new) ->> 'status';
    WHEN 3 THEN
      RETURN fn_iu_tag_set(v_address, 'topic:' || 1 + p_n % 9, 'confirmed', 1, 'test') ->> 'status';
    WHEN 4 THEN
      RETURN fn_iu_tag_unset(v_address, 'topic:' || 1 + p_n % 9, 'confirmed', 'test') ->> 'status';
    WHEN 5 THEN
      RETURN fn_iu_enact(v_address, 'test', (fn_iu_review_decision_record('enact', ARRAY[v_address], 'approve', 'test',
        'reviewed') ->> 'review_decision_id')::uuid) ->> 'status';
    WHEN 6 THEN
      -- A leaf below one of 40 units that never move, so that nothing becomes a circle.
      PERFORM set_config('app.canonical_writer', 'fn_iu_structure_op', true);
      UPDATE information_unit SET parent_or_container_ref =
          (SELECT id FROM information_unit WHERE canonical_address = 'note/n' || 1 + p_n % 40)
        WHERE canonical_address = 'added/' || 1 + p_n % 600;
      RETURN 'moved';
    WHEN 7 THEN
      PERFORM set_config('app.canonical_writer', 'fn_iu_structure_op', true);
      UPDATE information_unit SET deleted_at = CASE WHEN deleted_at IS NULL THEN now() END
        WHERE canonical_address = v_address AND lifecycle_status = 'draft';
      RETURN 'deleted or restored';
    ELSE
      RETURN test_refused('DELETE FROM information_unit WHERE canonical_address = ''' || v_address || '''');
  END CASE;
END $$;
SQL
my $script = PostgreSQL::Test::Utils::tempdir() . '/act.sql';
append_to_file($script, "\\set what random(0, 8)\n\\set n random(1, 1000000)\nSELECT test_act(:what, :n);\n");

sub pgbench
{
	my ($for, $clients, $threads) = @_;

	return [ 'pgbench', '-n', '-c', $clients, '-j', $threads, '-T', $for, '-f', $script, '-h', $node->host,
		'-p', $node->port, 'postgres' ];
}

# The waits for locks of callers that the server logged since a place in its log, as [ milliseconds, what it was at ].
# Lines of clients bear the name of this file.
sub waits_since
{
	my ($from) = @_;
	my $client = qr/^\S+ \S+ \S+ \[\d+\] 143\S* /m;
	my $log = slurp_file($node->logfile, $from);
	my @waits;

	# An entry is its first line, those that belong to it, and their own next lines.
	foreach my $entry (split /(?=${client}LOG:)/, $log)
	{
		my ($at) = $entry =~ /^${client}CONTEXT:  (.*\n(?:\t.*\n)*)/m;
		push @waits, [ $1, $at // '' ]
		  if $entry =~ /^${client}LOG:  process \d+ (?:still waiting for|acquired) .* after ([\d.]+) ms$/m;
	}
	return @waits;
}

sub nobody_waited_for_long
{
	my ($when, $from) = @_;
	my @waits = sort { $b->[0] <=> $a->[0] } waits_since($from);
	my @of_the_envelope = grep { $_->[1] =~ /envelope/ } @waits;

	note(sprintf '%s the longest of %d waits of 400 ms or more: %d ms', $when, scalar @waits,
		@waits ? $waits[0][0] : 0);
	cmp_ok(@waits ? $waits[0][0] : 0, '<=', 1000 * $patience, "$when no caller waited longer than the lock timeout");
	is(join("\n", map { $_->[1] } @of_the_envelope), '',
		"$when no caller waited for the envelope longer than a refresh may");
	unlike(slurp_file($node->logfile, $from), qr/deadlock detected/, "$when no deadlock");
	return;
}

# What pgbench complained of.
sub load_for
{
	my ($for) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(pgbench($for, 64, 2), '<', \undef, '>', \$out, '2>', \$err);
	note($out);
	$err =~ s/^pgbench.*\n//m;
	return $err;
}

sub settles
{
	my ($after) = @_;

	becomes('SELECT NOT EXISTS (SELECT FROM iu_three_axis_envelope_mark)', "$after no mark is left");
	is(IU::LoaderA->in_sync($node), 't', "$after the envelope is the view, of all units");
	is(sql('SELECT count(*) FROM v_iu_tree_path_check WHERE left_value IS DISTINCT FROM right_value'), '0',
		"$after each path is the one by parents");
	is(sql('SELECT (SELECT count(*) FROM iu_three_axis_envelope) - iu.fn_iu_envelope_count()'), '0',
		"$after the tally is the number of rows");
	like(IU::LoaderA->errors($node), qr/^((55P03|57014) \d+(, )?)*$/,
		"$after what was swallowed was a wait that was too long, or the time that was over");
	return;
}

$ENV{PGOPTIONS} = "-c lock_timeout=${patience}s";
IU::Gate->open($node, $gate, 3600);
my $first = sql('SELECT max(id) FROM iu_three_axis_envelope_refresh_log');
is(load_for($seconds), '', '64 sessions: no caller has an error');
cmp_ok(
	sql("SELECT count(*) FROM iu_three_axis_envelope_refresh_log WHERE id > $first AND outcome = 'refreshed'"), '>', 0,
	'64 sessions: there were refreshes');
settles('64 sessions:');
nobody_waited_for_long('64 sessions:', 0);
note('errors: ' . IU::LoaderA->errors($node));

# ---- Under crashes. A backend that is killed takes the whole server down: all sessions end, it recovers, and they
# connect again. pgbench lets none of its clients begin before all of them are connected; so each of 16 has four, and a
# backend is killed as soon as its second is over and any of them acts. What the test waits for it reads from the
# server's log and from the titles of its processes: a client that asks takes from the 64 what they need to connect.

sub start_load
{
	my %load = (out => '', err => '');
	my $pgbench = join ' ', @{ pgbench(600, 4, 1) };

	$load{run} = IPC::Run::start([ 'sh', '-c', "trap 'kill \$all 2>/dev/null' TERM;"
			. " for n in \$(seq 16); do $pgbench & all=\"\$all \$!\"; done; wait; wait" ],
		'<', \undef, '>', \$load{out}, '2>', \$load{err});
	return \%load;
}

# The backends that are within a statement.
sub acting
{
	my $postmaster = $node->{_pid};
	my @children = split ' ', slurp_file("/proc/$postmaster/task/$postmaster/children");

	return grep {
		my $title = '';
		if (open(my $file, '<', "/proc/$_/cmdline"))
		{
			local $/;
			$title = <$file> // '';
		}
		$title =~ /\[local\] SELECT/;
	} @children;
}

my $until = time() + $seconds;
my ($crashes, $sessions, $next, $from, $complaints) = (0, 0, 0, -s $node->logfile, '');
my %took = (ready => 0, acting => 0);
do
{
	my $begun = time();
	my $load = start_load();
	my @acting;

	wait_for { time() >= $next && (@acting = acting()) } or die 'no session of the load came to act';
	my ($killed, $since) = (time(), -s $node->logfile);
	kill('KILL', $acting[ rand @acting ]) or die 'no backend was killed';
	$next = $killed + 1;
	$crashes++;
	$sessions += @acting;
	wait_for { slurp_file($node->logfile, $since) =~ /ready to accept connections/ } or die 'the server is not back';
	$took{acting} += $killed - $begun;
	$took{ready} += time() - $killed;
	# All of them have ended with the server, but for those that connect so late that they met the next one.
	$load->{run}->signal('TERM');
	IPC::Run::finish($load->{run});
	$complaints .= $load->{err};
} while (time() < $until);
note(sprintf '%d crashes in %d s, %d sessions acting at each on average; the server was back after %.2f s, and then '
	. 'killed again after %.2f s', $crashes, $seconds, map { $_ / $crashes } $sessions, @took{qw(ready acting)});
IU::Cluster->wait_for_worker($node, 'watchdog');
IU::Gate->open($node, $gate, 3600) if IU::Gate->state($node, $gate) ne 'true open';
is(join("\n", $complaints =~ /^.*ERROR:.*$/mg), '',
	"after $crashes crashes: no caller had an error but that its server was gone");
nobody_waited_for_long("after $crashes crashes:", $from);
settles("after $crashes crashes:");

$node->stop;
done_testing();
