# A worker looks up the functions that it calls once, and again when something on
# which the answer rests has changed: the functions, their schema, the rights of
# their owner, the extension.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = IU::Cluster->init_node('calls', { installed => 1 });
$node->start;
talk_to($node);
IU::Cluster->install($node);
sql('CREATE ROLE mallory SUPERUSER');

sub watchdog_becomes
{
	my ($state, $name) = @_;
	sql('SELECT iu_core.wake()');
	return becomes("SELECT state FROM iu_core.worker_status WHERE role = 'watchdog'", $state, $name);
}
sub sender_says
{
	my ($error, $name) = @_;
	sql('SELECT iu_core.wake()');
	return becomes("SELECT coalesce(last_error, state) FROM iu_core.worker_status WHERE role = 'sender'",
		$error, $name);
}
my $process = "SELECT pid FROM iu_core.worker_status WHERE role = 'watchdog'";

watchdog_becomes('running', 'a watchdog finds its functions');
my $watchdog = sql($process);

note 'a function that is gone for a while';
sql('ALTER FUNCTION iu.fn_iu_gate_expiring() RENAME TO elsewhere');
watchdog_becomes('nothing migrated', 'a watchdog notices that a function has another name');
sql('ALTER FUNCTION iu.elsewhere() RENAME TO fn_iu_gate_expiring');
watchdog_becomes('running', 'a watchdog notices that the function has its name again');

note 'a schema that is gone for a while';
sql('ALTER SCHEMA iu RENAME TO elsewhere');
watchdog_becomes('nothing migrated', 'a watchdog notices that the schema has another name');
sql('ALTER SCHEMA elsewhere RENAME TO iu');
watchdog_becomes('running', 'a watchdog notices that the schema has its name again');

note 'an owner whose rights change';
sql('ALTER FUNCTION iu.fn_iu_gate_expiring() OWNER TO mallory');
watchdog_becomes('running', "a watchdog calls a superuser's function");
sql('ALTER ROLE mallory NOSUPERUSER');
watchdog_becomes('failing', 'a watchdog notices that the owner of a function is no longer a superuser');
like(sql("SELECT last_error FROM iu_core.worker_status WHERE role = 'watchdog'"),
	qr/function iu\.fn_iu_gate_expiring\(\) belongs to "mallory" and is not called/,
	'a watchdog says whose function it does not call');
sql('ALTER ROLE mallory SUPERUSER');
watchdog_becomes('running', 'a watchdog notices that the owner of a function is a superuser again');
sql('ALTER FUNCTION iu.fn_iu_gate_expiring() OWNER TO iu_core_owner');
watchdog_becomes('running', 'a watchdog calls a function that has got its owner back');
is(sql($process), $watchdog, 'the process of the watchdog has lived through all of it');

note 'a function that returns something else';
sql('ALTER FUNCTION iu.fn_iu_delivery_next_due(integer, integer, text[]) RENAME TO elsewhere');
sql('CREATE FUNCTION iu.fn_iu_delivery_next_due(integer, integer, text[]) RETURNS text LANGUAGE sql RETURN NULL');
sql('GRANT EXECUTE ON FUNCTION iu.fn_iu_delivery_next_due(integer, integer, text[]) TO iu_core_worker');
sender_says('function iu.fn_iu_delivery_next_due() returned type text instead of timestamp with time zone',
	'a sender does not take a value for one of another type');
sql('DROP FUNCTION iu.fn_iu_delivery_next_due(integer, integer, text[])');
sql('ALTER FUNCTION iu.elsewhere(integer, integer, text[]) RENAME TO fn_iu_delivery_next_due');
sender_says('running', 'a sender goes on with a function that returns the right type again');
sql('ALTER FUNCTION iu.fn_iu_delivery_claim(text, integer, integer, integer, text[]) RENAME TO elsewhere');
sql('CREATE FUNCTION iu.fn_iu_delivery_claim(text, integer, integer, integer, text[]) RETURNS TABLE (lease_id integer)'
	  . ' LANGUAGE sql RETURN 1');
sql('GRANT EXECUTE ON FUNCTION iu.fn_iu_delivery_claim(text, integer, integer, integer, text[]) TO iu_core_worker');
sender_says('the rows that a function returned have no column "lease_id" of type bigint',
	'a sender does not take a column for one of another type');

$node->stop;
done_testing();
