#-------------------------------------------------------------------------
#
# IuCore.pm
#	  Throwaway servers with iu_core preloaded, for tests of the server level.
#
#	  use lib "$FindBin::RealBin/../lib";		# from test/tap/t
#	  use IuCore;
#
#	  my $node = IuCore->new_node('main', 'iu_core.senders' => 2);
#	  $node->safe_psql('postgres', 'CREATE EXTENSION iu_core');
#
# new_node gives a started PostgreSQL::Test::Cluster. The named settings are
# written as they are, in single quotes; later ones win over those made here.
# IU_STAGE, if set, is the DESTDIR into which iu_core was installed; without it
# the server's own directories are used. Environment that the server shall see
# goes into %ENV before the call.
#
#-------------------------------------------------------------------------
package IuCore;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

sub new_node
{
	my ($class, $name, %settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', settings_text(
			shared_preload_libraries => 'iu_core',
			'iu_core.databases'      => 'postgres',
			max_worker_processes     => 32,
			stage_settings(),
			%settings));
	$node->start;
	return $node;
}

# Where the server finds the extension. Debian's 15 and 17 know
# extension_destdir; 18 has extension_control_path.
sub stage_settings
{
	my $stage = $ENV{IU_STAGE} or return ();
	my ($libraries) = run_command([ 'pg_config', '--pkglibdir' ]);
	my ($shared) = run_command([ 'pg_config', '--sharedir' ]);
	my ($version) = run_command([ 'pg_config', '--version' ]);

	return (
		dynamic_library_path => "$stage$libraries:$libraries",
		$version =~ / (\d+)/ && $1 >= 18
		? (extension_control_path => "$stage$shared:\$system")
		: (extension_destdir => $stage));
}

# As lines of a configuration file.
sub settings_text
{
	my @settings = @_;
	my $text = '';

	while (my ($setting, $value) = splice(@settings, 0, 2))
	{
		$value =~ s/'/''/g;
		$text .= "$setting = '$value'\n";
	}
	return $text;
}

# Changes settings of a running node and waits until a new session sees them.
sub reload
{
	my ($class, $node, %settings) = @_;
	my $before = $node->safe_psql('postgres', 'SELECT pg_conf_load_time()');

	$node->append_conf('postgresql.conf', settings_text(%settings));
	$node->reload;
	$node->poll_query_until('postgres', "SELECT pg_conf_load_time() > '$before'")
	  or die 'settings were not reloaded';
}

1;
