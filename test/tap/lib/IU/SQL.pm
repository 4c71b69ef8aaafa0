#-------------------------------------------------------------------------
#
# IU/SQL.pm
#	  What a test asks of its server, and what it waits for there.
#
#	  use IU::SQL;
#	  talk_to($node);						# database postgres; another is the second argument
#	  sql('SELECT 1');						# the rows; dies of an error
#	  ask('SELECT 1/0');					# the rows, or the error: "ERROR:  22012: ..."
#	  error_of('SELECT 1/0', user => 'olga');	# what psql complained of, '' for nothing
#	  error_while('LOCK TABLE t', 'TABLE t');	# of a query that waits in vain for a lock
#	  becomes('SELECT ...', 'a name');		# a test: it becomes true in the end
#	  becomes('SELECT ...', 'red', 'a name');	# a test: it becomes "red"
#	  wait_until('SELECT ...');				# the same without a test; dies if it never does
#	  start_query($session, 'SELECT ...');	# in a background_psql, without waiting for its end
#	  literal("it's");						# 'it''s', NULL for undef
#
# Every function speaks to the server of the last talk_to, unless it is told
# another: sql($query, $database), and server, database, user as named arguments
# of ask and error_of. Waiting ends as soon as what is waited for is there, and
# gives up after PG_TEST_TIMEOUT_DEFAULT seconds (180).
#
#-------------------------------------------------------------------------
package IU::SQL;

use strict;
use warnings;

use parent 'Exporter';
use Test::More ();

our @EXPORT = qw(talk_to sql ask error_of error_while becomes wait_until start_query literal);

my ($node, $database);

sub talk_to
{
	($node, $database) = @_;
	$database //= 'postgres';
	return;
}

sub sql { return $node->safe_psql($_[1] // $database, $_[0]) }

# Rows and complaints of psql, each with its SQLSTATE and without its place in
# PostgreSQL's source.
sub _psql
{
	my ($query, %how) = @_;
	my ($stdout, $stderr) = ('', '');

	($how{server} // $node)->psql($how{database} // $database, $query, stdout => \$stdout, stderr => \$stderr,
		extra_params => [ '-v', 'VERBOSITY=verbose', $how{user} ? ('-U', $how{user}) : () ]);
	$stderr =~ s/^psql:[^ ]* //mg;
	$stderr =~ s/^LOCATION:.*\n?//mg;
	return ($stdout, $stderr);
}

sub ask
{
	my ($stdout, $stderr) = _psql(@_);
	return $stderr eq '' ? $stdout : $stderr;
}

# Warnings are complaints, notices are not.
sub error_of
{
	local $ENV{PGOPTIONS} = join ' ', grep { defined } $ENV{PGOPTIONS}, '-c client_min_messages=warning';
	return (_psql(@_))[1];
}

# The error of a query that waits in vain for what a statement locks. Its session has
# begun before: where the server must read the catalogs anew, one that begins later
# needs what is locked to do so.
sub error_while
{
	my ($lock, $query) = @_;
	my ($holder, $asker) = map { $node->background_psql($database, on_error_stop => 0) } 1, 2;

	$asker->query("\\set VERBOSITY verbose\nSET lock_timeout = '10ms'");
	$holder->query_safe("BEGIN; $lock");
	$asker->query($query);
	my $error = $asker->{stderr};
	$holder->query_safe('COMMIT');
	$_->quit foreach $holder, $asker;
	return $error =~ s/^psql:[^ ]* //mgr =~ s/^LOCATION:.*\n?//mgr;
}

sub becomes
{
	my ($query, @expected) = @_;
	my $name = pop @expected;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return Test::More::ok($node->poll_query_until($database, $query, @expected), $name)
	  || Test::More::diag(join "\n", ask($query), ask('TABLE iu_core.worker_status'));
}

sub wait_until
{
	my ($query, @expected) = @_;
	$node->poll_query_until($database, $query, @expected) or die "it never became so: $query\n" . ask($query);
	return;
}

sub start_query
{
	my ($session, $query) = @_;
	$session->query_until(qr/started/, "\\echo started\n$query;\n");
	return;
}

sub literal
{
	my ($value) = @_;
	return defined $value ? "'" . $value =~ s/'/''/gr . "'" : 'NULL';
}

1;
