#-------------------------------------------------------------------------
#
# IU/Clock.pm
#	  A clock of a test's own for a server, made by clock.c. The machine's clock
#	  stays as it is, and so do those that nobody can set (CLOCK_MONOTONIC).
#
#	  my $node = IU::Cluster->init_node('clock', {}, ...);
#	  my $clock = IU::Clock->new;
#	  $clock->start($node);		# starts the server with it, as $node->start does;
#								# each start of the server goes this way
#	  $clock->step(-3600);		# the clock is set back by an hour, for all of its processes at once
#	  $clock->moved;			# seconds by which it differs from the machine's: -3600
#
#-------------------------------------------------------------------------
package IU::Clock;

use strict;
use warnings;

use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;

sub new
{
	my ($class) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir;
	my $self = bless { folder => $folder, moved => 0 }, $class;

	system_or_bail('cc', '-shared', '-fPIC', '-Wall', '-Wextra', '-Werror', '-o', "$folder/clock.so",
		dirname(__FILE__) . '/clock.c', '-ldl');
	$self->step(0);
	return $self;
}

# The eight bytes are written in place, since every process has the file mapped.
sub step
{
	my ($self, $seconds) = @_;
	my $file = "$self->{folder}/moved";

	$self->{moved} += $seconds;
	open(my $out, -e $file ? '+<' : '>', $file) or die "$file: $!";
	syswrite($out, pack('q', $self->{moved} * 1_000_000)) == 8 or die "$file: $!";
	close $out or die "$file: $!";
	return;
}

sub moved { return $_[0]{moved} }

sub start
{
	my ($self, $node, %how) = @_;
	local $ENV{IU_CLOCK} = "$self->{folder}/moved";
	local $ENV{LD_PRELOAD} = join ' ', grep { $_ } $ENV{LD_PRELOAD}, "$self->{folder}/clock.so";

	return $node->start(%how);
}

1;
