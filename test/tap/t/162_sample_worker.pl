# The sample worker of the demo, a shell script: what it hands to its command, what
# becomes of the job, that its heartbeats keep the lease and end with it, and what it
# does when it is told to end.
use strict;
use warnings;
use utf8;

use File::Basename qw(dirname);
use File::Spec;
use IPC::Run ();
use IU::Cluster;
use IU::Gate;
use IU::Process;
use IU::SQL;
use IU::Wait;
use PostgreSQL::Test::Utils;
use Test::More;

my $script = File::Spec->rel2abs(dirname(__FILE__) . '/../../../demo/worker');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $node   = IU::Cluster->new_node('worker', 'iu_core.databases' => '');
talk_to($node);
sql('CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate(); CREATE ROLE rob LOGIN IN ROLE iu_core_agent');
IU::Gate->open($node, 'queue.job_substrate.enabled', 3600);
my %environment = (PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', PGUSER => 'rob',
	FOLDER => $folder, WORKER => 'rob', BEAT => '0.1', PAUSE => '0.1');

# A worker that does what is due with a script of the shell, and ends; its exit, what it printed, what it said.
sub worker
{
	my ($kind, $what) = @_;
	my ($printed, $said) = ('', '');
	local %ENV = (%ENV, %environment, ONCE => 1);

	IPC::Run::run([ $script, $kind, 'sh', '-c', $what ], '<', \undef, '>', \$printed, '2>', \$said);
	return ($? >> 8, $printed, $said);
}

# One that goes on. exec: the shell's script is one process, and so is the command.
sub begin_worker
{
	my ($kind) = @_;
	sql("SELECT fn_job_enqueue('$kind', 't', '{}', NULL, '$kind')");
	local %ENV = (%ENV, %environment);
	my $worker = IPC::Run::start([ $script, $kind, 'sh', '-c', 'echo $$ >"$FOLDER/pid"; exec sleep 600' ], '<', \undef,
		'>', \my $printed, '2>', \my $said);
	delete $ENV{PGUSER};
	becomes("SELECT EXISTS (SELECT FROM queue_heartbeat h JOIN job_queue q ON q.job_id = h.current_job_id
		WHERE q.job_kind = '$kind' AND h.status = 'working')", "$kind: a worker says that it is at work");
	return ($worker, slurp_file("$folder/pid") + 0);
}
sub is_gone { return process_state($_[0]) =~ /^[ZX]?$/ }
sub state_of { return sql("SELECT concat_ws(': ', state, last_error) FROM job_queue WHERE idempotency_key = '$_[0]'") }

# ---- what it does

foreach my $told ('false', 'true')
{
	sql("SELECT fn_iu_switch_set('queue.notify.enabled', '$told', 't', 't')");
	sql("SELECT fn_job_enqueue('copy', 't', '{\"to\": \"O''Hara \\\\ Zoë\", \"line\": \"a\\nb\"}', 'from here',
		'copy $told', p_payload_ref => 'there; \$(false)')");
	is_deeply([ worker('copy', 'cat >"$FOLDER/payload"; echo "$JOB_KEY|$SOURCE_REF|$PAYLOAD_REF|$JOB_ID"') ],
		[ 0, "copy $told|from here|there; \$(false)|"
			  . sql("SELECT job_id FROM job_queue WHERE idempotency_key = 'copy $told'") . "\nsucceeded\n", '' ],
		"a worker does a job and ends, with switch queue.notify.enabled $told");
	my $payload = slurp_file("$folder/payload");
	utf8::decode($payload);
	is($payload, "{\"to\": \"O'Hara \\\\ Zoë\", \"line\": \"a\\nb\"}\n", 'its command reads the payload');
	is(state_of("copy $told"), 'succeeded', 'and the job is done');
}
is_deeply([ worker('copy', 'exit 9') ], [ 0, '', '' ], 'where nothing is due it ends');

sql("SELECT fn_job_enqueue('fail', 't', '{}', NULL, 'fail')");
is_deeply([ worker('fail', q{printf 'first\nno d\351sk: \377%s\n' "'; --" >&2; exit 3}) ], [ 0, "retry_waiting\n", '' ],
	'a job whose command fails waits for its next attempt');
is(state_of('fail'), "retry_waiting: ended with 3: no dsk: '; --", 'with the last line of its complaint');

# ---- how long it has a job

my ($worker, $command) = begin_worker('long');
sql("SET ROLE iu_core_owner; UPDATE job_queue SET lease_until = iu_core.steady_clock() WHERE job_kind = 'long'");
becomes("SELECT lease_until > iu_core.steady_clock() + interval '200 s' FROM job_queue WHERE job_kind = 'long'",
	'its heartbeats let the lease begin anew');
sql("SELECT fn_job_cancel(job_id, 't', 'enough') FROM job_queue WHERE job_kind = 'long'");
ok(wait_for { is_gone($command) }, 'a command is ended whose job was taken away');
$worker->kill_kill;

($worker, $command) = begin_worker('gone');
my $pid = $worker->{KIDS}[0]{PID};
my @heart = grep { $_ != $command } split / /, slurp_file("/proc/$pid/task/$pid/children");
is(scalar @heart, 1, 'one process sends the heartbeats');
kill('KILL', $pid);
waitpid($pid, 0);
ok(wait_for { is_gone($heart[0]) }, 'when a worker is killed, its heartbeats end');
ok(!is_gone($command), 'though its command goes on');
kill('TERM', $command);
eval { $worker->finish };

($worker, $command) = begin_worker('told to end');
kill('TERM', $worker->{KIDS}[0]{PID});
$worker->finish;
ok(is_gone($command), 'a worker that is told to end ends its command');
is(state_of('told to end'), 'retry_waiting: ended with 143', 'and its job waits for its next attempt');

# ---- what it is refused

sql("SELECT fn_iu_gate_close('queue.job_substrate.enabled', 't', 't')");
my ($exit, undef, $said) = worker('copy', 'true');
is($exit, 1, 'a worker that ends when nothing is due ends badly where the queue is closed');
like($said, qr/the job queue is closed/, 'and says why');
$node->stop;
done_testing();
