#-------------------------------------------------------------------------
#
# IU/Process.pm
#	  Processes of a server, seen and treated from outside of it.
#
#	  use IU::Process;
#	  freeze($pid);				# SIGSTOP; returns when it has taken effect
#	  freeze_idle(sub { sql($_[0]) }, $pid);	# the same outside of any transaction
#	  thaw($pid);				# SIGCONT; at the end of the test too, whatever happens
#	  process_state($pid);		# T is stopped, '' is gone; see proc(5)
#	  peak_memory($pid);		# the most memory it ever had, in kB
#	  processor_time($pid);		# that it has used, in seconds
#	  kill_server($node);		# kill -9 of the postmaster and of all its children
#	  start_again($node);		# after a crash, when its last child has ended
#
#-------------------------------------------------------------------------
package IU::Process;

use strict;
use warnings;

use parent 'Exporter';
use IU::Wait;
use POSIX ();
use Time::HiRes ();

our @EXPORT = qw(freeze freeze_idle thaw process_state peak_memory processor_time kill_server start_again);

my %frozen;

# A line of /proc/PID/status; undef where the process is gone.
sub _status
{
	my ($pid, $pattern) = @_;
	open(my $file, '<', "/proc/$pid/status") or return undef;
	my ($found) = join('', <$file>) =~ $pattern;
	return $found;
}

sub process_state { return _status($_[0], qr/^State:\s+(\w)/m) // '' }

sub peak_memory { return _status($_[0], qr/^VmHWM:\s*(\d+) kB/m) // die "process $_[0] says no VmHWM\n" }

# The 14th and the 15th field of /proc/PID/stat; the second may have blanks in it.
sub processor_time
{
	my ($pid) = @_;
	open(my $file, '<', "/proc/$pid/stat") or return 0;
	my @fields = split / /, <$file> =~ s/^.*\) //sr;
	return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

sub freeze
{
	my (@pids) = @_;

	kill('STOP', @pids);
	@frozen{@pids} = ();
	foreach my $pid (@pids)
	{
		wait_for { process_state($pid) =~ /^[TtZX]?$/ } or die "process $pid does not stop\n";
	}
	return;
}

# A process that is stopped within a transaction keeps what it has locked, and
# whoever wants that would wait until it goes on. It may be stopped with a lock of
# shared memory in its hand, too, which the question itself waits for: another
# process lets it go on after a while. $asks: gives the answer to a query.
sub freeze_idle
{
	my ($asks, @pids) = @_;
	my $within = 'SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid IN ('
	  . join(', ', @pids) . ')';

	for (my $patience = 1;;)
	{
		freeze(@pids);
		my $rescuer = fork() // die "fork: $!\n";
		if (!$rescuer)
		{
			sleep $patience;
			kill('CONT', @pids);
			POSIX::_exit(0);
		}
		my $busy = $asks->($within);
		kill('KILL', $rescuer);
		waitpid($rescuer, 0);
		my $rescued = $? == 0;
		return if !$busy && !$rescued;
		$patience *= 2 if $rescued;
		thaw(@pids);
		Time::HiRes::sleep(0.002);
	}
}

sub thaw
{
	my (@pids) = @_;

	kill('CONT', @pids);
	delete @frozen{@pids};
	return;
}
END { kill('CONT', keys %frozen) }

sub kill_server
{
	my ($node) = @_;
	my @children = split /\n/, $node->safe_psql('postgres',
		'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');

	$node->kill9;
	kill('KILL', @children);
	return;
}

# The first attempts may fail: the server's children have to end before it.
sub start_again
{
	my ($node) = @_;
	wait_for
	{
		return 1 if $node->start(fail_ok => 1);
		$node->stop('fast', fail_ok => 1);
		return 0;
	}
	or die "the server does not start\n";
	return;
}

1;
