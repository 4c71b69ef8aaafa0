#-------------------------------------------------------------------------
#
# IU/Query.pm
#	  Single statements without a psql: safe_psql and poll_query_until of
#	  PostgreSQL::Test::Cluster, which start one for every statement and every
#	  look, ask over a connection of this process instead where that is the same.
#	  Half of the time of a test went into those processes.
#
#	  use IU::Query;						# that is all
#
# The same are one statement without semicolons inside, backslashes or COPY, and
# no arguments but the database and the statement. What they print is what psql
# -At prints; notices are left out. Each statement has a session of its own, and a
# poll has a new one every second, as settings of roles and databases begin there.
#
#-------------------------------------------------------------------------
package IU::Query;

use strict;
use warnings;

use DBI;
use DBD::Pg;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Test::More ();
use Time::HiRes qw(sleep time);

my $safe_psql = \&PostgreSQL::Test::Cluster::safe_psql;
my $poll_query_until = \&PostgreSQL::Test::Cluster::poll_query_until;

{
	no warnings 'redefine';
	*PostgreSQL::Test::Cluster::safe_psql = \&safe_psql;
	*PostgreSQL::Test::Cluster::poll_query_until = \&poll_query_until;
}

sub is_single
{
	my ($database, $statement) = @_;
	return $database =~ /^[\w-]+$/ && $statement =~ /^[^;\\]*[^;\\\s][^;\\]*;?\s*$/ && $statement !~ /^\s*COPY\b/i;
}

sub connection
{
	my ($node, $database) = @_;
	local %ENV = $node->_get_env();
	return DBI->connect('dbi:Pg:' . $node->connstr($database) . ' fallback_application_name=psql', undef, undef,
		{ AutoCommit => 1, RaiseError => 0, PrintError => 0, PrintWarn => 0, pg_server_prepare => 0, pg_bool_tf => 1,
			pg_expand_array => 0, pg_enable_utf8 => 0 });
}

# The rows as psql -At prints them; undef of an error, which errstr has.
sub rows
{
	my ($connection, $statement) = @_;
	my $query = $connection->prepare($statement, { pg_direct => 1 });

	return undef if !$query->execute;
	return '' if !$query->{NUM_OF_FIELDS};
	my @binary = map { $_ eq 'bytea' } @{ $query->{pg_type} };
	return join "\n", map {
		my $row = $_;
		join '|', map { $row->[$_] // '' }
		  map { $row->[$_] = '\\x' . unpack('H*', $row->[$_]) if $binary[$_] && defined $row->[$_]; $_ } 0 .. $#$row
	} @{ $query->fetchall_arrayref };
}

sub safe_psql
{
	my ($node, $database, $statement, @how) = @_;
	return $safe_psql->(@_) if @how || !is_single($database, $statement);

	my $connection = connection($node, $database) or die "connection error: '" . DBI->errstr . "'";
	my $rows = rows($connection, $statement);
	die "error running SQL: '" . $connection->errstr . "' with sql '$statement'" if !defined $rows;
	$connection->disconnect;
	return $rows;
}

sub poll_query_until
{
	my ($node, $database, $statement, $expected) = @_;
	return $poll_query_until->(@_) if !is_single($database, $statement // '');

	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my ($connection, $rows, $since);
	for ($expected //= 't'; time < $deadline; )
	{
		my $begun = time;
		if (!$connection || $begun > $since + 1)
		{
			$connection->disconnect if $connection;
			($connection, $since) = (connection($node, $database), $begun);
		}
		$rows = $connection ? rows($connection, $statement) : undef;
		return 1 if defined $rows && $rows eq $expected;
		$connection = undef if $connection && !$connection->ping;

		# A query that costs much is asked less often.
		my $pause = 3 * (time - $begun);
		sleep($pause < 0.02 ? 0.02 : $pause > 1 ? 1 : $pause);
	}
	Test::More::diag("this did not become $expected: $statement\nat last it was: "
		  . ($rows // DBI->errstr // 'an error'));
	return 0;
}

1;
