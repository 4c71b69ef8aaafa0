# Locks by a name: who waits for whom, and until when.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use Test::More;

my $node = IU::Cluster->new_node('named_locks', max_prepared_transactions => 2, 'iu_core.databases' => '');
talk_to($node);
sql('CREATE EXTENSION iu_core');
my $holder = $node->background_psql('postgres', on_error_stop => 0);

sub is_free
{
	my ($name, $free, $says) = @_;
	is(sql("SELECT iu_core.try_named_lock('$name')"), $free ? 't' : 'f', $says);
	return;
}

$holder->query_safe("BEGIN; SELECT iu_core.named_lock('one')");
is_free('one', 0, 'a name that another transaction holds is not free');
is_free('two', 1, 'another name is');
is_free('one ', 1, 'a name with a blank behind it is another name');
is($holder->query_safe("SELECT iu_core.try_named_lock('one')"), 't', 'whoever holds a name may hold it again');
my $waiter = $node->background_psql('postgres');
start_query($waiter, "SELECT iu_core.named_lock('one')");
becomes('SELECT count(*) = 1 FROM pg_locks WHERE NOT granted', 'who asks for a name waits for its holder');
$holder->query_safe('COMMIT');
$waiter->query_safe('SELECT 1');
$waiter->quit;
is_free('one', 1, 'a name is free when the transaction that held it has ended');
is(sql('SELECT iu_core.named_lock(NULL) IS NULL, iu_core.try_named_lock(NULL) IS NULL'), 't|t', 'NULL is no name');

$holder->query_safe("BEGIN; SAVEPOINT s; SELECT iu_core.named_lock('one'); ROLLBACK TO s");
is_free('one', 1, 'a name that a savepoint took is free when that is rolled back');
$holder->query_safe("SAVEPOINT s; SELECT iu_core.named_lock('one'); RELEASE s");
is_free('one', 0, 'a name that a savepoint took is held on when that is released');
$holder->query_safe('ROLLBACK');

# What the first FETCH writes stays, whatever becomes of the savepoint: so does its lock.
$holder->query_safe("BEGIN; DECLARE c CURSOR FOR SELECT 1 / n, iu_core.named_lock('one') FROM (VALUES (1), (0)) v (n);
	FETCH c; SAVEPOINT s");
$holder->query('FETCH c');
like($holder->{stderr}, qr/division by zero/, 'a cursor that took a name fails behind a savepoint');
$holder->{stderr} = '';
$holder->query_safe('ROLLBACK TO s');
is_free('one', 0, 'a name that a cursor took before a savepoint is held on when the cursor fails behind it');
$holder->query_safe('COMMIT');

sql("BEGIN; SELECT iu_core.named_lock('one'); PREPARE TRANSACTION 'p'");
$node->restart;
is_free('one', 0, 'a prepared transaction holds its names, over a restart too');
sql("ROLLBACK PREPARED 'p'");
is_free('one', 1, 'and gives them back when it is rolled back');

sql('CREATE ROLE ann IN ROLE iu_core_writer, iu_core_operator, iu_core_admin, iu_core_agent, pg_monitor;'
	. ' CREATE DATABASE elsewhere');
like(error_of("SET ROLE ann; SELECT iu_core.$_('one')"), qr/permission denied for function $_/,
	"who has all other roles may not call $_")
  foreach qw(named_lock try_named_lock);
$holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT iu_core.named_lock('one')");
is($node->safe_psql('elsewhere', "CREATE EXTENSION iu_core; SELECT iu_core.try_named_lock('one')"), 't',
	'a name of another database is another name');
$holder->quit;

$node->stop;
done_testing();
