# A server in single-user mode: no postmaster, no worker, no other session. What
# needs one says so, what needs none works: HTTP, foreign tables, migrations,
# events, closing.
use strict;
use warnings;

use IU::Answers;
use IU::Canned;
use IU::Cluster;
use IU::Gate;
use PostgreSQL::Test::Utils;
use Test::More;

my $peer = IU::Canned->start(sub {
	my ($request) = @_;
	return { status => 204, body => '' } if $request->{method} eq 'POST' && $request->{path} eq '/hook';
	return qdrant_result('{"aliases":[]}') if $request->{path} eq '/aliases';
	return qdrant_result('{"status":"green","config":{"params":{}}}') if $request->{method} eq 'GET';
	return qdrant_result('{"count":7}') if $request->{path} =~ /count$/;
	return qdrant_result('{"points":['
		  . join(',', map { qq({"id":$_,"payload":{"n":$_},"vector":null}) } 1 .. 3) . '],"next_page_offset":null}');
});
my $url = $peer->url;
my $node = IU::Cluster->new_installed('single', 'iu_core.allowed_origins' => $url,
	'iu_core.allowed_networks' => '127.0.0.0/8', 'iu_core.databases' => 'postgres');
my $gate = 'iu_core.composer_enabled';

# What a server alone says to the statements: its rows and its complaints.
sub alone
{
	my ($database, @statements) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'postgres', '--single', '-j', '-D', $node->data_dir, '-c', 'log_min_messages=warning', $database ],
		'<', \join('', map { "$_;\n\n" } @statements), '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	is($?, 0, "a server alone ends well: $statements[0]") or diag "$out\n$err";
	return join "\n", ($out =~ /^\s*\d+: \S* = "(.*?)"\t/mg), $err =~ /((?:ERROR|FATAL|PANIC|WARNING): .*)/g;
}

$node->safe_psql('postgres', qq{
	CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '$url');
	CREATE FOREIGN TABLE points(id text, n bigint) SERVER q OPTIONS (resource 'points', collection 'c');
	CREATE FOREIGN TABLE others(id text, n bigint) SERVER q OPTIONS (resource 'points', collection 'd');
	SELECT fn_iu_switch_set('iu_core.routes_master_enabled', 'true', 'ann', 'test');
	CREATE DATABASE other});
IU::Gate->open($node, $gate, 3600);
$node->stop;

# ---- what is said

like(alone('postgres', 'SELECT status, message FROM iu_core.health()'), qr/CRITICAL\n.*single-user mode/,
	'alone, health is red and says why');
is(alone('postgres', 'SELECT role, state, last_error FROM iu_core.worker_status'),
	"launcher\nsingle-user mode\nthe server runs in single-user mode: no worker runs and every gate reads closed",
	'alone, the status of workers says that there are none');

# ---- HTTP

is(alone('postgres', "SELECT outcome, status FROM iu_core.http_probe('POST', '$url/hook', '{}', 'x', 60000)"),
	"answered\n204", 'alone, a receiver is reached');
is(alone('postgres', 'SELECT n FROM points ORDER BY n'), "1\n2\n3", 'alone, a foreign table is read');
is(alone('postgres', 'SELECT count(*) FROM points'), '7', 'alone, the remote counts');
is(alone('postgres', 'SELECT sum(n) FROM (SELECT n FROM points UNION ALL SELECT n FROM others) x'), '12',
	'alone, several foreign tables are read by one Append');

# ---- gates and events

is(alone('postgres', "SELECT iu_core.gate_is_open('$gate')"), 'f', 'alone, a gate that was open reads closed');
like(alone('postgres', "SELECT fn_iu_gate_open('$gate', gen_random_uuid(), 'ann', 'test', 60)"),
	qr/ERROR: +no gate can be opened: the server runs in single-user mode/, 'alone, no gate is opened');
is(alone('postgres', "SELECT fn_iu_gate_close('$gate', 'ann', 'test') ->> 'status'"), 'closed',
	'alone, a gate is closed');
is(alone('postgres', "SELECT value FROM dot_config WHERE key = '$gate'"), 'false', 'and is closed in the table too');
like(alone('postgres', "SELECT fn_iu_emit_event('version_applied', 'DOC/1', gen_random_uuid(), 'ann')"),
	qr/^[0-9a-f-]{36}$/, 'alone, an event is emitted');

# ---- the extension and its migrations, and a database that nobody is in

is(alone('other', 'CREATE EXTENSION iu_core', 'SELECT count(*) > 0 AS made FROM iu_core.migrate()',
	'SELECT count(*) AS differences FROM fn_iu_conformance() WHERE NOT ok'), "t\n0",
	'alone, a database is migrated, and all is as it should be');
is(alone('postgres', 'DROP DATABASE other', "SELECT count(*) FROM pg_database WHERE datname = 'other'"), '0',
	'alone, a database is dropped');

# ---- and as a service again

$node->start;
IU::Cluster->wait_for_worker($node, 'watchdog');
is($node->safe_psql('postgres', "SELECT fn_iu_gate_ledger_verify() ->> 'ok'"), 'true',
	'as a service again, the ledger verifies');
IU::Gate->open($node, $gate, 3600);
is(IU::Gate->state($node, $gate), 'true open', 'and a gate is opened');
done_testing();
