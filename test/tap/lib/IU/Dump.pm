#-------------------------------------------------------------------------
#
# IU/Dump.pm
#	  Databases dumped and restored.
#
#	  my $text = schema_of($node);				# pg_dump --schema-only; the second argument is a database
#	  dump_to($node, $file);					# a test: pg_dump of postgres in the custom format succeeds
#	  restore_into($node, $database, $file);	# a test: pg_restore into a new database succeeds
#
#-------------------------------------------------------------------------
package IU::Dump;

use strict;
use warnings;

use parent 'Exporter';
use PostgreSQL::Test::Utils;

our @EXPORT = qw(schema_of dump_to restore_into);

# Without the key that differs from one dump to the next.
sub schema_of
{
	my ($node, $database) = @_;
	my ($out, $err) = run_command(
		[ $node->installed_command('pg_dump'), '--schema-only', '-d', $node->connstr($database // 'postgres') ]);

	die $err if $err;
	return $out =~ s/^\\(un)?restrict .*\n?//mgr;
}

sub dump_to
{
	my ($node, $file, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return $node->command_ok(
		[ $node->installed_command('pg_dump'), '-Fc', '-f', $file, '-d', $node->connstr('postgres') ],
		$name // 'the database is dumped');
}

# template1 is asked to, so that no session of the database that is copied is in
# the way.
sub restore_into
{
	my ($node, $database, $file, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$node->safe_psql('template1', "CREATE DATABASE $database TEMPLATE template0");
	return $node->command_ok(
		[ $node->installed_command('pg_restore'), '--exit-on-error', '-d', $node->connstr($database), $file ],
		$name // "the dump is restored into database $database of " . $node->name);
}

1;
