# What somebody else may put in the way: a schema, a function, an index of the
# names that the library looks for. None of it is taken for the real thing.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $gate = 'iu_core.delivery_enabled';
my $node = IU::Cluster->new_node('strangers', 'iu_core.databases' => 'postgres');

talk_to($node);

sql('CREATE ROLE mallory LOGIN');

# ---- a schema that was there before the extension

sql('CREATE DATABASE other');
sql('CREATE SCHEMA iu_core AUTHORIZATION mallory', 'other');
like(error_of('CREATE EXTENSION iu_core', database => 'other'),
	qr/42501: schema "iu_core" is there already and "mallory" may create in it/,
	'CREATE EXTENSION does not adopt a schema iu_core of a stranger');
sql('DROP SCHEMA iu_core; CREATE SCHEMA iu_core; GRANT CREATE ON SCHEMA iu_core TO PUBLIC', 'other');
like(error_of('CREATE EXTENSION iu_core', database => 'other'),
	qr/42501: schema "iu_core" is there already and "public" may create in it/,
	'CREATE EXTENSION does not adopt a schema iu_core in which everybody may create');
sql('REVOKE CREATE ON SCHEMA iu_core FROM PUBLIC; CREATE EXTENSION iu_core', 'other');
is(sql('SELECT iu_core.version() IS NOT NULL', 'other'), 't',
	'CREATE EXTENSION adopts an empty schema iu_core of a superuser');

# ---- functions of the names that the workers call

sql('CREATE EXTENSION iu_core; GRANT CREATE ON SCHEMA public TO mallory');
sql(<<'SQL');
SET ROLE mallory;
CREATE TABLE public.seen (who name);
GRANT INSERT ON public.seen TO PUBLIC;
RESET ROLE;
CREATE FUNCTION iu.fn_iu_gate_expiring() RETURNS TABLE (gate_key text, due_at timestamptz)
  LANGUAGE sql AS $$INSERT INTO public.seen VALUES (current_user); SELECT NULL::text, NULL::timestamptz WHERE false$$;
CREATE FUNCTION iu.fn_iu_gate_close_expired(text, text, OUT status text, OUT detail text)
  LANGUAGE sql AS $$SELECT 'closed', NULL$$;
ALTER FUNCTION iu.fn_iu_gate_expiring OWNER TO mallory;
ALTER FUNCTION iu.fn_iu_gate_close_expired OWNER TO mallory;
SELECT iu_core.wake();
SQL
becomes("SELECT EXISTS (SELECT FROM iu_core.worker_status WHERE role = 'watchdog'"
	  . " AND last_error ~ 'fn_iu_gate_(expiring|close_expired).. belongs to \"mallory\" and is not called')",
	'the watchdog says whose function of a name of its own it does not call');
is(sql('SELECT count(*) FROM seen'), '0', "the watchdog has not called the stranger's function");
like(error_of('SELECT * FROM iu_core.migrate()'),
	qr/42723: function "fn_iu_gate_\w+" already exists.*HINT:  No migration made it/s,
	"the migrations do not replace the stranger's function");
sql('DROP FUNCTION iu.fn_iu_gate_expiring(); DROP FUNCTION iu.fn_iu_gate_close_expired(text, text);'
	  . ' DROP TABLE seen; REVOKE CREATE ON SCHEMA public FROM mallory');
sql('SELECT count(*) FROM iu_core.migrate()');
IU::Cluster->wait_for_worker($node, 'watchdog');

# ---- a schema public that is closed to PUBLIC

sql('REVOKE ALL ON SCHEMA public FROM PUBLIC');
IU::Gate->open($node, $gate, 1);
ok(IU::Gate->wait_for_ledger($node, $gate, 'open watchdog_close'),
	'the watchdog closes a gate where schema public is closed to PUBLIC');
is(sql("SET ROLE iu_core_operator; SELECT fn_iu_gate_verify_closed() ->> 'all_safe'"), 'true',
	'an operator can verify where schema public is closed to PUBLIC');

# ---- an index of the right name that leads elsewhere

# Opened for long, closed, and set to true again where no watchdog corrects it.
my $closed = 'iu_core.composer_enabled';
IU::Cluster->reload($node, 'iu_core.databases' => '');
wait_until("SELECT NOT EXISTS (SELECT FROM iu_core.worker_status WHERE role = 'watchdog')");
IU::Gate->open($node, $_, 3600) foreach $gate, $closed;
sql("SELECT fn_iu_gate_close('$closed', 'operator', 'test'); UPDATE dot_config SET value = 'true'"
	  . " WHERE key = '$closed'");
sub gates { return join ', ', map { IU::Gate->state($node, $_) } $gate, $closed }
is(gates(), 'true open, true closed', 'one gate is open and one was closed');
sql('ALTER INDEX ix_iu_gate_transition_last RENAME TO aside; CREATE INDEX ix_iu_gate_transition_last'
	  . ' ON iu_gate_transition (gate_key, transition_seq)');
is(gates(), 'true closed, true closed',
	'with an index of the right name that begins with the oldest change every gate reads closed');
sql("ALTER INDEX ix_iu_gate_transition_last RENAME TO wrong; CREATE INDEX ix_iu_gate_transition_last"
	  . " ON iu_gate_transition (gate_key, transition_seq DESC) WHERE action = 'open'");
is(gates(), 'true closed, true closed',
	'with an index of the right name that leaves out the closes every gate reads closed');
sql('ALTER INDEX ix_iu_gate_transition_last RENAME TO wrong_as_well');
is(gates(), 'true closed, true closed', 'without the index every gate reads closed');
sql('ALTER INDEX aside RENAME TO ix_iu_gate_transition_last');
is(gates(), 'true open, true closed', 'with the right index the open gate reads open again');

$node->stop;
done_testing();
