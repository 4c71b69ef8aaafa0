#-------------------------------------------------------------------------
#
# IU/Wait.pm
#	  Waiting for what no query tells.
#
#	  use IU::Wait;
#	  ok(wait_for { $receiver->connections > 3 }, 'a fourth connection is made');
#
# True as soon as the block is, with a look every 10 ms; false when it is not
# after PG_TEST_TIMEOUT_DEFAULT seconds (180). What a query tells is waited for
# with becomes and wait_until of IU::SQL.
#
#-------------------------------------------------------------------------
package IU::Wait;

use strict;
use warnings;

use parent 'Exporter';
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(wait_for);

sub wait_for(&)
{
	my ($condition) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	until ($condition->())
	{
		return 0 if time > $deadline;
		sleep 0.01;
	}
	return 1;
}

1;
