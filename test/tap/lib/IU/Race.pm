#-------------------------------------------------------------------------
#
# IU/Race.pm
#	  Many sessions that do something at the same moment: all wait for a lock,
#	  and when the last of them waits it is let go.
#
#	  my @racers = IU::Race->run($node, { user => 'olga' }, [ 'SELECT 1' ], [ 'SELECT 2', 'SELECT 3' ]);
#	  $racers[0]{out}, $racers[0]{err}		# what psql printed, errors with their SQLSTATE
#
# A session ends with the first statement that fails.
#
#-------------------------------------------------------------------------
package IU::Race;

use strict;
use warnings;

use IPC::Run ();

use constant LOCK => 4711;

sub run
{
	my ($class, $node, $how, @sessions) = @_;
	my $starter = $node->background_psql('postgres', on_error_stop => 1);
	my @psql = ($node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'),
		'-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1', $how->{user} ? ('-U', $how->{user}) : ());
	my @racers;

	$starter->query_safe('SELECT pg_advisory_lock(' . LOCK . ')');
	foreach my $statements (@sessions)
	{
		my %racer = (out => '', err => '');
		$racer{run} = IPC::Run::start(
			[ @psql, map { ('-c', $_) } 'SELECT pg_advisory_lock_shared(' . LOCK . ')', @$statements ],
			'<', \undef, '>', \$racer{out}, '2>', \$racer{err});
		push @racers, \%racer;
	}
	$node->poll_query_until('postgres',
		'SELECT count(*) = ' . @sessions . " FROM pg_locks WHERE locktype = 'advisory' AND objid = "
		  . LOCK . ' AND NOT granted') or die "they do not all wait\n";
	$starter->query_safe('SELECT pg_advisory_unlock(' . LOCK . ')');
	IPC::Run::finish($_->{run}) foreach @racers;
	$starter->quit;
	return @racers;
}

1;
