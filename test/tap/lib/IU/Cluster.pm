#-------------------------------------------------------------------------
#
# IU/Cluster.pm
#	  Throwaway servers with iu_core preloaded, for tests of the server level.
#
#	  use IU::Cluster;
#
#	  my $node = IU::Cluster->new_node('main', 'iu_core.senders' => 2);
#	  $node->safe_psql('postgres', 'CREATE EXTENSION iu_core');
#	  my $other = IU::Cluster->new_installed('other', 'iu_core.databases' => '');
#
# new_node gives a started PostgreSQL::Test::Cluster, new_installed one that has the
# extension and its migrations in database postgres. The named settings are
# written as they are, in single quotes; later ones win over those made here.
# The server is that of the commands on PATH; test/run puts a private copy with
# iu_core in it there. Its superuser is called postgres, whoever runs the test.
# Environment that the server shall see goes into %ENV before the call.
#
#-------------------------------------------------------------------------
package IU::Cluster;

use strict;
use warnings;

use IU::Query;
use IU::Template;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

# For psql and every other client, and for a standby's connection to its primary.
# PostgreSQL::Test forgets what the caller had.
$ENV{PGUSER} = 'postgres';

# For the servers of a test, which are one installation, a promoted standby too.
$ENV{IU_CORE_INSTANCE} = 'test';

sub new_node
{
	my ($class, $name, %settings) = @_;
	my $node = $class->init_node($name, {}, %settings);

	$node->start;
	return $node;
}

# The same with the extension and all its migrations, and its watchdog at work where
# the workers serve database postgres.
sub new_installed
{
	my ($class, $name, %settings) = @_;
	my $node = $class->init_node($name, { installed => 1 }, %settings);

	$node->start;
	$class->install($node);
	return $node;
}

# Not started yet. $init goes to init(), e.g. { allows_streaming => 1 }. With
# "installed" in it the files have the extension, where they can be a copy, and
# install() has nothing to make. In UTF8, whatever the locale of who runs the test.
# No request times out because the machine is slow: a test of a time-out sets its own.
sub init_node
{
	my ($class, $name, $init, %settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $patience = "${PostgreSQL::Test::Utils::timeout_default}s";
	my %init = %$init;

	_init($node, delete $init{installed}, extra => [ '--username=postgres', '--encoding=UTF8', '--locale=C' ], %init);
	$node->append_conf('postgresql.conf', settings_text(
			shared_preload_libraries  => 'iu_core',
			'iu_core.databases'       => 'postgres',
			max_worker_processes      => 32,
			max_locks_per_transaction => 256,	# as README.md has it for 10 connections
			jit                       => 'off',
			'iu_core.connect_timeout' => $patience,
			'iu_core.request_timeout' => '300s',
			%settings));
	return $node;
}

# The files of a test's first server are a copy of what IU::Template has: initdb
# takes five times as long, and the migrations ten times. Any other server is made
# by initdb, since copies of the same files are the same server to PostgreSQL, and
# one that was copied to iu_core.
my $has_copied;

sub _init
{
	my ($node, $installed, @how) = @_;
	my $template = $has_copied++ ? undef : IU::Template::folder($installed);

	return $node->init(@how) if !$template;
	$node->{iu_installed} = $installed;
	my $run = \&PostgreSQL::Test::Utils::system_or_bail;
	no warnings 'redefine';
	local *PostgreSQL::Test::Utils::system_or_bail = sub {
		return $run->($_[0] eq 'initdb' ? ('cp', '-RPp', $template, $node->data_dir) : @_);
	};
	return $node->init(@how);
}

# Why a test of a module of PostgreSQL's contrib is skipped, or undef where the
# server has the module.
sub lacks_module
{
	my ($class, $module) = @_;
	my ($libraries) = run_command([ 'pg_config', '--pkglibdir' ]);

	return -e "$libraries/$module.so" ? undef : "this server has no $module";
}

# The same for collations that ignore case, which only ICU has.
sub lacks_icu
{
	my ($class, $node) = @_;
	return undef if $node->safe_psql('postgres',
		"SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu')") eq 't';
	return 'this server was built without ICU';
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

# The extension with all its migrations in a database, where it did not come with the
# files, and its watchdog at work if it is the database that the workers serve.
sub install
{
	my ($class, $node, $database) = @_;
	$database //= 'postgres';

	$node->safe_psql($database, 'CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()')
	  if $database ne 'postgres' || !$node->{iu_installed};
	$class->wait_for_worker($node, 'watchdog')
	  if $database eq 'postgres' && $node->safe_psql($database, 'SHOW iu_core.databases') =~ /\bpostgres\b/;
	return;
}

# The pid of a worker that is well, other than $not.
sub wait_for_worker
{
	my ($class, $node, $role, $not) = @_;
	my $pid = "SELECT pid FROM iu_core.worker_status WHERE role = '$role' AND pid IS NOT NULL"
	  . " AND state IN ('running', 'nothing migrated') AND pid <> " . ($not // 0);

	$node->poll_query_until('postgres', "SELECT EXISTS ($pid)") or die "no $role runs";
	return $node->safe_psql('postgres', $pid);
}

1;
