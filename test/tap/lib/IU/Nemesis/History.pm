#-------------------------------------------------------------------------
#
# IU/Nemesis/History.pm
#	  What clients, receivers and whoever makes faults saw of a run, and when.
#	  Every process writes into a file of its own; the run is read when all have
#	  ended. Times are seconds of CLOCK_MONOTONIC, which no fault moves and which
#	  all processes of this machine share.
#
#	  my $history = IU::Nemesis::History->new($file);
#	  $history->write('op', do => 'emit', invoked => $then, completed => now(), outcome => 'ok', ...);
#	  my $seen = IU::Nemesis::History->read(@files);	# { op => [...], fault => [...], health => [...] }
#
#-------------------------------------------------------------------------
package IU::Nemesis::History;

use strict;
use warnings;

use parent 'Exporter';
use JSON::PP ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT = qw(now);

sub now { return clock_gettime(CLOCK_MONOTONIC) }

my $json = JSON::PP->new->canonical->utf8;

sub new
{
	my ($class, $file) = @_;
	open(my $out, '>>', $file) or die "$file: $!";
	$out->autoflush(1);
	return bless { out => $out }, $class;
}

sub write
{
	my ($self, $kind, %entry) = @_;
	print { $self->{out} } $json->encode({ kind => $kind, %entry }), "\n";
	return;
}

# By kind, each in the order in which things began.
sub read
{
	my ($class, @files) = @_;
	my %seen = (op => [], fault => [], health => []);

	foreach my $file (@files)
	{
		open(my $in, '<', $file) or die "$file: $!";
		while (my $line = <$in>)
		{
			my $entry = $json->decode($line);
			push @{ $seen{ delete $entry->{kind} } }, $entry;
		}
	}
	@$_ = sort { ($a->{invoked} // $a->{at}) <=> ($b->{invoked} // $b->{at}) } @$_ foreach values %seen;
	return \%seen;
}

1;
