#-------------------------------------------------------------------------
#
# IU/Template.pm
#	  Files of servers that IU::Cluster copies.
#
#	  folder();		# what initdb makes, in IU_INITDB; undef where test/run made none
#	  folder(1);	# with the extension and all its migrations in database postgres
#
# The second is made by the first test that asks for it, while others that do wait.
#
#-------------------------------------------------------------------------
package IU::Template;

use strict;
use warnings;

use Fcntl qw(LOCK_EX);
use File::Path qw(rmtree);
use PostgreSQL::Test::Utils;

my @NOT_FOR_ALL = qw(LOCPATH HOME CURL_HOME NETRC PGOPTIONS LD_PRELOAD);

sub folder
{
	my ($installed) = @_;
	my $made = $ENV{IU_INITDB};

	return undef if !$made || !-d $made;
	return $installed ? _installed($made) : $made;
}

# The configuration is as initdb left it. To iu_core a copy is the place that it was
# copied from: system identifier, database and instance are the same. What a test has
# put into its environment for its own server is not for this one.
sub _installed
{
	my ($bare) = @_;
	my $made = "$bare.installed";

	open(my $lock, '>', "$made.lock") or die "$made.lock: $!";
	flock($lock, LOCK_EX) or die "$made.lock: $!";
	return $made if -d $made;
	rmtree("$made.new");	# of a test that was killed

	my $socket = PostgreSQL::Test::Utils::tempdir_short;
	local @ENV{@NOT_FOR_ALL};
	delete @ENV{@NOT_FOR_ALL};
	my @server = ('pg_ctl', '-w', '-D', "$made.new", '-l', "$made.log");
	my $settings = "-F -c shared_preload_libraries=iu_core -c listen_addresses= -k '$socket'";
	system_or_bail('cp', '-RPp', $bare, "$made.new");
	system_or_bail(@server, '-o', $settings, 'start');
	system_or_bail('psql', '-X', '-q', '-h', $socket, '-d', 'postgres', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null',
		'-c', 'CREATE EXTENSION iu_core', '-c', 'SELECT count(*) FROM iu_core.migrate()');
	system_or_bail(@server, 'stop');
	rename("$made.new", $made) or die "$made: $!";
	return $made;
}

1;
