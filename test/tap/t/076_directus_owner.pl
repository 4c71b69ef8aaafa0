# A real Directus whose login owns the database of iu_core, and with it schema
# public: its button "Delete collection" is a plain DROP TABLE, and what is
# governed stays all the same.
use strict;
use warnings;

use IU::Directus;
use PostgreSQL::Test::Utils;
use Test::More;

my $host = $ENV{DIRECTUS_PGHOST} or plan skip_all => 'no real Directus';
my $database = 'iu_cms';
my $state = "$ENV{DIRECTUS_STATE}-owner";

# Rows of a query in the cluster on which the real Directus runs.
sub cluster_sql
{
	my ($query, $name) = @_;
	my ($out, $err) = run_command([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $host, '-U', 'postgres',
			'-d', $name // $database, '-c', $query ]);
	die $err if $err;
	return $out;
}

sub governed_tables
{
	return cluster_sql('SELECT g.object_name FROM iu_governed_object g'
		  . ' JOIN pg_class c ON c.oid = to_regclass(g.object_name)'
		  . " WHERE g.object_class IN ('table', 'view') ORDER BY 1");
}

# Only a Directus of this test's own: the other tests go on with theirs.
sub clean_up { system_log('peers/directus', 'stop', $state); return }
END { clean_up() if $state }

cluster_sql('CREATE ROLE iu_cms LOGIN', 'postgres');
cluster_sql("CREATE DATABASE $database OWNER iu_cms", 'postgres');
cluster_sql("SET client_min_messages = warning; CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()");
is(cluster_sql("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '$database'"), 'iu_cms',
	'the login of Directus owns the database');

my ($url, $trouble) = run_command([ 'peers/directus', 'start', $state, $host, $database, 'iu_cms' ]);
$url or BAIL_OUT("Directus does not start: $trouble");
my $directus = IU::Directus->new($url, $ENV{DIRECTUS_ADMIN_TOKEN});

my $tables = governed_tables();
my @kept;
foreach my $table (split /\n/, $tables)
{
	next if $table =~ /^v_/;
	my $answer = $directus->request('DELETE', "/collections/$table");
	push @kept, "$table: $answer->{status}" if $answer->{status} < 400;
}
is("@kept", '', 'Directus is refused every governed table that it is told to delete');
is(governed_tables(), $tables, 'no governed table is missing afterwards');
is(cluster_sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok'), '0', 'the database conforms afterwards');

my $own = $directus->request('POST', '/collections', { collection => 'articles', schema => {}, meta => {}, fields => [
	{ field => 'id', type => 'integer', schema => { is_primary_key => \1, has_auto_increment => \1 }, meta => {} } ] });
is($own->{status}, 200, 'Directus makes a collection of its own beside them');
is($directus->request('DELETE', '/collections/articles')->{status}, 204, 'Directus deletes a collection of its own');
clean_up();
cluster_sql("DROP DATABASE $database (FORCE)", 'postgres');
cluster_sql('DROP ROLE iu_cms', 'postgres');
done_testing();
