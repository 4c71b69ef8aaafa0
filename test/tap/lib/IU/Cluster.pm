# IU::Cluster: a PostgreSQL::Test::Cluster that has the staged iu_core preloaded.
package IU::Cluster;

use strict;
use warnings;
use PostgreSQL::Test::Cluster;

# new_node($name, $settings): initialized, not started. $settings is text for
# postgresql.conf, e.g. "iu_core.databases = 'postgres'\n".
sub new_node
{
	my ($name, $settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', stage_settings() . ($settings // ''));
	return $node;
}

# What makes a server load the library from where `make test` staged it;
# nothing where it is installed (IU_STAGE unset).
sub stage_settings
{
	my $preload = "shared_preload_libraries = 'iu_core'\n";
	my $stage   = $ENV{IU_STAGE} or return $preload;
	chomp(my ($lib, $share, $version) = map { `"$ENV{PG_CONFIG}" --$_` } qw(pkglibdir sharedir version));
	my ($major) = $version =~ /(\d+)/;
	return $preload
	  . "dynamic_library_path = '$stage$lib:$lib'\n"
	  . ($major >= 18
		? "extension_control_path = '$stage$share:\$system'\n"
		: "extension_destdir = '$stage'\n");
}

1;
