# The wrappers against a server that gives canned answers and writes down what
# it was asked: one request where one is enough, every failure told as what it
# is, and never a count that nobody gave.
use strict;
use warnings;

use IU::Answers;
use IU::Canned;
use IU::Cluster;
use IU::SQL;
use IU::Wait;
use IU::Lines;
use PostgreSQL::Test::Utils;
use Test::More;

# ---- the peers

# what stands behind a count, by the last part of the collection's name
my %count_body = (
	missing => '{"data":[]}', none => '{"data":[{}]}', two => '{"data":[{"count":1},{"count":2}]}',
	null => '{"data":[{"count":null}]}',
	nested => '{"data":[{"count":{"id":"163"}}]}', negative => '{"data":[{"count":-1}]}',
	minus => '{"data":[{"count":"-1"}]}',
	fraction => '{"data":[{"count":1.5}]}', whole_fraction => '{"data":[{"count":4.0}]}',
	exponent => '{"data":[{"count":"1e3"}]}',
	text => '{"data":[{"count":"many"}]}', blank => '{"data":[{"count":""}]}', spaced => '{"data":[{"count":" 5"}]}',
	zeros => '{"data":[{"count":"007"}]}',
	huge => '{"data":[{"count":18446744073709551615}]}', huge_text => '{"data":[{"count":"9223372036854775808"}]}',
	most => '{"data":[{"count":9223372036854775807}]}', most_text => '{"data":[{"count":"9223372036854775807"}]}',
	number => '{"data":[{"count":163}]}', string => '{"data":[{"count":"163"}]}', empty => '{"data":[{"count":"0"}]}',
	truncated => '{"data":[{"count":"16', twice => '{"data":[{"count":1,"count":2}]}',
	zero => '{"data":[{"count":"1\u0000"}]}', zero_byte => qq({"data":[{"count":1}]}\0), deep => '[' x 100_000,
	html => '<html>Log in</html>', nothing => '', scalar => '163');

sub no_permission
{
	my ($collection) = @_;
	return qq(You don't have permission to access collection \\"$collection\\" or it does not exist. Queried in root.);
}

sub directus
{
	my ($request) = @_;
	my ($path) = $request->{path} =~ m{^/([^?]*)};

	return { status => 200, body => '{"data":[{"count":"4"}]}' }
		  if $path eq 'users' && $request->{authorization} eq 'Bearer good';
	return directus_error(401, 'Invalid user credentials.')
		  unless $request->{authorization} =~ /^Bearer (good|lister|file-token)$/;
	return $request->{authorization} eq 'Bearer lister'
	  ? { status => 200, body => '{"data":[{"collection":"directus_users","meta":{},"schema":{}},'
		  . '{"collection":"string","schema":{"name":"string"},"meta":null},'
		  . '{"collection":"a_folder","meta":{},"schema":null},{"collection":"empty","schema":{},"meta":{}},'
		  . '{"collection":"number","schema":{}}]}' }
	  : directus_error(403, no_permission('directus_collections'))
	  if $path eq 'collections';

	my ($name) = $path =~ m{^items/(.+)$} or return directus_error(404, "Route /$path doesn't exist.");
	return { %{ directus_data('[{"count":"7"}]') }, together => $1, group => "$1 together", delay => 0.1 }
		  if $name =~ /^(\d+)_together/;
	return { %{ directus_data('[{"count":"7"}]') }, delay => $1 / 1000 } if $name =~ /^slow_(\d+)/;
	return { hang => 1 } if $name eq 'hang';
	return { cut => 1, status => 200, body => '{"data":[{"count":"163"}]}' } if $name eq 'cut';
	return { status => 200, body => '{"data":[{"count":"5"}]}' } if $name eq '%C3%BC%20%26%3F%25%23';
	return { status => 200, body => $count_body{html}, type => 'text/html; charset=utf-8' } if $name eq 'html';
	return { status => 200, body => $count_body{$name} } if exists $count_body{$name};
	return directus_error(429, 'Too many requests, retry after 479ms.', 'Retry-After: 0') if $name eq 'busy';
	return directus_error(503, 'Service \"api\" is unavailable. Under pressure.', 'Retry-After: 7')
		  if $name eq 'pressed';
	return directus_error(500, 'An unexpected error occurred.') if $name eq 'broken';
	return directus_error(500, "You sent $request->{authorization}") if $name eq 'echo';
	return { status => 500, body => "\xff\xfe\x01 binary" } if $name eq 'binary';
	return { status => 302, body => '', headers => ['Location: /items/string'] } if $name eq 'redirect';
	return { status => 502, body => '<html>nginx</html>', type => 'text/html' } if $name eq 'proxy';
	return { status => 431, body => '' } if $name eq 'long';
	return { status => 202, body => '{}' } if $name eq 'accepted';
	return directus_error(403, no_permission('x'));
}

sub qdrant
{
	my ($request) = @_;
	my $key = $request->{'api-key'};

	return { status => 401, body => 'Must provide an API key or an Authorization bearer token', type => 'text/plain' }
		  if $key eq '';
	return { status => 401, body => 'Invalid API key or JWT', type => 'text/plain' } if $key ne 'good';
	return qdrant_result('{"collections":[{"name":"pieces"},{"name":"empty"}]}')
	  if $request->{method} eq 'GET' && $request->{path} eq '/collections';
	return { status => 404, body => '' }
		  unless $request->{method} eq 'POST' && $request->{path} =~ m{^/collections/([^/]+)/points/count$};
	my $name = $1;
	return qdrant_error(400, 'Format error in JSON body') if $request->{body} ne '{"exact":true}';
	return { status => 200, body => '{"result":{"count":149},"status":"ok","time":2.1e-05}' } if $name eq 'pieces';
	return { status => 200, body => '{"result":{"count":0},"status":"ok","time":0.0,"usage":{}}' } if $name eq 'empty';
	return { status => 200, body => '{"result":{},"status":"ok","time":0.0}' } if $name eq 'missing';
	return qdrant_error(400, 'Bad request: Exact search disabled!. Help: Set exact=false.') if $name eq 'strict';
	return qdrant_error(403, 'Forbidden: Access to collection x is required') if $name eq 'hidden';
	return qdrant_error(408, 'Timeout: Operation timed out after 1s') if $name eq 'late';
	return qdrant_error(429, 'Rate limiting exceeded: Retry after 60s', 'Retry-After: 60') if $name eq 'busy';
	return { status => 404, body => '<html></html>', type => 'text/html' } if $name eq 'elsewhere';
	return qdrant_error(404, "Not found: Collection `$name` doesn't exist!");
}

my $directus = IU::Canned->start(\&directus);
my $qdrant = IU::Canned->start(\&qdrant);
my $refused = IU::Canned->start(\&directus);
my $patient = IU::Canned->start(\&qdrant, keep => 60);
my $nobody = PostgreSQL::Test::Cluster::get_free_port();

# ---- the database

my $node = IU::Cluster->new_node('fdw',
	'iu_core.databases' => '',
	'iu_core.allowed_origins' => join(', ', $directus->url, $qdrant->url, $patient->url, "http://127.0.0.1:$nobody"),
	'iu_core.allowed_networks' => '127.0.0.0/8',
	log_statement => 'none',
	log_min_error_statement => 'panic');
my $token_file = $node->basedir . '/token';
append_to_file($token_file, "file-token\n");

my $one = q(SELECT collection, items, error FROM directus.collections WHERE collection = 'string';);

talk_to($node, 'fdw');

# What is asked of the peer while this runs, beside what the token may read (042_directus.pl).
sub asked
{
	my ($peer, $query) = @_;
	my ($result, @asked) = $peer->asked(sub { ask($query) });
	return ($result, grep { !m{^GET /permissions/me} } map { "$_->{method} $_->{path}" } @asked);
}

$ENV{PGCLIENTENCODING} = 'UTF8';
$node->safe_psql('postgres', q(CREATE DATABASE fdw TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'));
$node->safe_psql('postgres', q(CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'));
my $setup = <<"SQL";
CREATE EXTENSION iu_core;
CREATE SERVER directus FOREIGN DATA WRAPPER directus_fdw OPTIONS (url '@{[$directus->url]}/');
CREATE SERVER qdrant FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$qdrant->url]}');
CREATE SERVER down FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://127.0.0.1:$nobody');
CREATE SERVER refused FOREIGN DATA WRAPPER directus_fdw OPTIONS (url '@{[$refused->url]}');
CREATE USER MAPPING FOR PUBLIC SERVER directus OPTIONS (token 'good');
CREATE USER MAPPING FOR PUBLIC SERVER qdrant OPTIONS (api_key 'good');
CREATE SCHEMA directus; IMPORT FOREIGN SCHEMA api FROM SERVER directus INTO directus;
CREATE SCHEMA qdrant; IMPORT FOREIGN SCHEMA api FROM SERVER qdrant INTO qdrant;
CREATE SCHEMA down; IMPORT FOREIGN SCHEMA api FROM SERVER down INTO down;
CREATE SCHEMA refused; IMPORT FOREIGN SCHEMA api FROM SERVER refused INTO refused;
CREATE SCHEMA lenient;
CREATE FOREIGN TABLE lenient.directus (error text, items bigint, collection text) SERVER directus
  OPTIONS (resource 'collections', on_error 'null');
CREATE FOREIGN TABLE lenient.qdrant (collection text, points bigint, error text) SERVER qdrant
  OPTIONS (resource 'collections', on_error 'null');
CREATE FOREIGN TABLE lenient.down (collection text, points bigint, error text) SERVER down
  OPTIONS (resource 'collections', on_error 'null');
CREATE FOREIGN TABLE lenient.refused (collection text, items bigint, error text) SERVER refused
  OPTIONS (resource 'collections', on_error 'null');
CREATE TABLE documents AS SELECT n FROM generate_series(1, 163) n;
SQL
$node->safe_psql($_, $setup) for 'fdw', 'latin';

# ---- counts, and with how many requests

my $count = '/items/%s?aggregate%%5Bcount%%5D=%%2A';
my $string = 'GET ' . sprintf($count, 'string');
is_deeply([ asked($directus, q(SELECT collection, items FROM directus.collections WHERE collection = 'string')) ],
	[ 'string|163', $string ], 'a count that Directus gives as a string is one request');
is_deeply([ asked($directus, q(SELECT collection, items FROM directus.collections WHERE collection = 'number')) ],
	[ 'number|163', 'GET ' . sprintf($count, 'number') ], 'a count that Directus gives as a number is one request');
is_deeply([ asked($qdrant, q(SELECT collection, points FROM qdrant.collections WHERE collection = 'pieces')) ],
	[ 'pieces|149', 'POST /collections/pieces/points/count' ], 'a count of Qdrant is one request');
is(($qdrant->requests)[-1]{body}, '{"exact":true}', 'a count of Qdrant is asked to be exact');
is(ask(q(SELECT items FROM directus.collections WHERE collection IN ('empty', 'most', 'most_text') ORDER BY items)),
	"0\n9223372036854775807\n9223372036854775807",
	'a count of nothing and the largest count that bigint holds are given');
is_deeply([ asked($directus, q(SELECT items FROM directus.collections WHERE collection = 'directus_users')) ],
	[ 4, 'GET /users?aggregate%5Bcount%5D=%2A' ], 'a system collection of Directus is counted by its own endpoint');
is(ask(q(SELECT items FROM directus.collections WHERE collection = 'ü &?%#'), database => $_), 5,
	"a name that must be percent-encoded is asked for in database $_") for 'fdw', 'latin';
like(ask(q(SELECT items FROM directus.collections WHERE collection = E'..\\\\')), qr/42501/,
	"a backslash is part of a collection's name");

my ($joined, @asked) = asked($directus, <<'SQL');
SELECT l.n, d.items, q.points FROM (SELECT count(*) AS n FROM documents) l, directus.collections d, qdrant.collections q
 WHERE d.collection = 'string' AND q.collection = 'pieces'
SQL
is($joined, '163|163|149', 'a count is joined with a local count and one of another remote');
is(scalar(@asked), 1, 'a count in a join is one request');
is_deeply([ asked($directus, q(SELECT items FROM directus.collections WHERE collection = 'string' AND items > 163)) ],
	[ '', $string ], 'a condition on the count is checked here');
is_deeply([ asked($directus, q(SELECT collection, items, error FROM directus.collections WHERE collection = NULL
	  OR collection IN (NULL, NULL))) ], [''], 'a collection that is NULL asks nothing');
is_deeply([ asked($directus, q(SELECT items FROM directus.collections WHERE collection = ANY (ARRAY(SELECT 'string'
	  FROM documents)))) ], [ 163, 'GET /collections', $string ],
	'a collection that rows name many times is asked for once, though the token may not list the collections');

# parameters
is_deeply([ asked($directus, "SET plan_cache_mode = force_generic_plan; PREPARE p(text) AS SELECT items"
	  . " FROM directus.collections WHERE collection = \$1;"
	  . " EXECUTE p('string'); EXECUTE p(NULL); EXECUTE p('empty')") ],
	[ "163\n0", $string, 'GET ' . sprintf($count, 'empty') ],
	'a prepared statement asks for what its parameter says, and nothing for NULL');
is_deeply([ asked($directus, q(DO $$ DECLARE v text := 'string'; n bigint; BEGIN SELECT items INTO STRICT n
	  FROM directus.collections WHERE collection = v; ASSERT n = 163; END $$)) ], [ '', $string ],
	'a variable of plpgsql is what is asked for');
is_deeply([ asked($directus, q(SELECT name, (SELECT items FROM directus.collections c WHERE c.collection = name)
	  FROM (VALUES ('string'), (NULL), ('empty')) v (name))) ],
	[ "string|163\n|\nempty|0", 'GET /collections', $string, 'GET ' . sprintf($count, 'empty') ],
	'a correlated value is what is asked for, after the list of collections, and nothing for NULL');

# many at once
my $names = join ', ', map { "'15_together_$_'" } 1 .. 20;
($joined, @asked) = asked($directus,
	"SELECT count(*), sum(items) FROM directus.collections WHERE collection IN ($names)");
is($joined, '20|140', '20 collections are counted');
is(scalar(@asked), 20, '20 collections are counted by 20 requests');
cmp_ok($directus->most_at_once, '>=', 15,
	'at least 15 of 20 requests are under way at once: ' . $directus->most_at_once);
ask('ALTER SERVER directus OPTIONS (connections \'2\')');
my $limited = $directus->since(
	sub { ask("SELECT sum(items) FROM directus.collections WHERE collection IN ('2_together_1', '2_together_2',"
	  . " '2_together_3', '2_together_4')") });
is($limited, 2, 'no more requests are under way at once than option connections says');
ask('ALTER SERVER directus OPTIONS (DROP connections)');

# all of them
is_deeply([ asked($qdrant, 'SELECT collection, points FROM qdrant.collections ORDER BY 1') ],
	[ "empty|0\npieces|149", 'GET /collections', 'POST /collections/pieces/points/count',
	'POST /collections/empty/points/count' ], 'every collection of Qdrant is listed and counted');
is_deeply([ asked($qdrant, 'SELECT count(*) FROM qdrant.collections') ], [ 2, 'GET /collections' ],
	'the names of the collections need only the list');
like(ask('SELECT collection, items, error FROM directus.collections'),
	pattern(qr/^ERROR:  42501: could not list the collections of foreign server "directus": the token may not/,
		qr/ list collections\nDETAIL:  HTTP 403: You don't.*\nHINT:  Restrict column "collection"/),
		'a token of Directus that may not list is an error with a way out');
ask(q(CREATE USER MAPPING FOR postgres SERVER directus OPTIONS (token 'lister')));
is(ask('SELECT collection, items FROM directus.collections ORDER BY 1'), "empty|0\nnumber|163\nstring|163",
	'every collection of Directus is listed but system ones and folders');
ask('DROP USER MAPPING FOR postgres SERVER directus');

# EXPLAIN
like(ask(q(EXPLAIN (ANALYZE, COSTS off) SELECT collection, items, error FROM directus.collections WHERE collection
	  IN ('string', 'number'))),
	pattern(qr/Remote Request: GET \/items\/\{collection\}\?aggregate\[count\]=\*.*/,
		qr/\n.*Remote Keys: number, string\n.*Remote Requests: [23]\n.*Remote Bytes: \d+/),
		'EXPLAIN ANALYZE shows request, keys, requests and bytes');
is_deeply([ (asked($directus, q(EXPLAIN (VERBOSE) SELECT collection, items, error FROM directus.collections)))[
	1 .. 1 ] ], [undef], 'EXPLAIN asks nothing');

# connections are kept, and a dead one is no failure
my $pieces = q(SELECT points FROM qdrant.collections WHERE collection = 'pieces');
is(ask("$pieces; SELECT pg_sleep(1.5); $pieces"), "149\n\n149",
	'a kept connection that the peer closed meanwhile is no failure');
my $connections = $qdrant->connections;
ask("$pieces; ALTER SERVER qdrant OPTIONS (ADD timeout_ms '20000'); $pieces");
is($qdrant->connections - $connections, 2, 'no connection is kept over a change of the server');
ask('ALTER SERVER qdrant OPTIONS (DROP timeout_ms)');

# Qdrant and Directus close what is idle for 5 s: a request must not set out just then.
ask("CREATE SERVER patient FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$patient->url]}');
	  CREATE USER MAPPING FOR postgres SERVER patient OPTIONS (api_key 'good');
	CREATE FOREIGN TABLE patient (collection text, points bigint) SERVER patient OPTIONS (resource 'collections')");
$pieces =~ s/qdrant\.collections/patient/;
ask(join ';', ($pieces) x 5);
is($patient->connections, 1, 'five statements take one connection');
is(ask("$pieces; $pieces; SELECT pg_sleep(4.2); $pieces"), "149\n149\n\n149",
	'a connection that was idle for more than 4 s is no failure');
is($patient->connections, 3, 'a connection that was idle for more than 4 s is not used again');

# ---- failures: SQLSTATE, what, hint

sub failure
{
	my ($table, $name, $state, $reason, $rest, $test) = @_;
	my $counted = $table =~ /^(qdrant|down)\./ ? 'points' : 'items';
	my $error = ask("SELECT collection, $counted FROM $table WHERE collection = '$name'");
	my ($server) = $table =~ /^(\w+)/;
	like($error, pattern(qr/^ERROR:  $state: could not read collection "\Q$name\E" of foreign server/s,
			qr/ "$server": $reason\n.*$rest/s), $test // "$table: $name is told as $state, with what and a hint")
	  or diag $error;
}

failure('directus.collections', $_->[0], 'HV000', $_->[1], $_->[2] // 'HTTP 200',
	"an answer without a count is an error, and no count is made up: $_->[0]")
  for [ missing => 'the answer holds no count' ], [ none => 'the answer holds no count' ],
[ two => 'the answer holds no count' ],
  [ null => 'the answer holds no count' ], [ nested => 'the answer holds no count' ],
[ negative => 'the count is negative' ],
  [ minus => 'the count is negative' ], [ fraction => 'the count is not a whole number' ],
[ whole_fraction => 'the count is not a whole number' ],
  [ exponent => 'the count is not a whole number' ], [ text => 'the count is not a whole number' ],
[ blank => 'the count is not a whole number' ],
  [ spaced => 'the count is not a whole number' ], [ zeros => 'the count is not a whole number' ],
  [ huge => 'the count is too large for bigint' ], [ huge_text => 'the count is too large for bigint' ],
  [ truncated => 'the answer is not usable JSON', 'is invalid.; it begins: ."data"' ],
  [ html => 'the answer is not usable JSON', 'an HTML page.*HINT:  Check that option "url"' ],
[ nothing => 'the answer is not usable JSON', 'empty' ],
  [ scalar => 'the answer is not usable JSON', 'neither an object nor an array' ],
[ zero => 'the count is not a whole number' ],
  [ zero_byte => 'the answer is not usable JSON', 'a zero byte' ],
[ deep => 'the answer is not usable JSON', 'stack depth' ];
is(ask(q(SELECT items FROM directus.collections WHERE collection = 'twice')), 2,
	'of a count that comes twice in an answer the last is taken');
failure('qdrant.collections', 'missing', 'HV000', 'the answer holds no count', 'HTTP 200');

failure('directus.collections', 'nope', '42501', 'forbidden, or no such collection',
	'HTTP 403: You don.*HINT:  Directus does not tell the two apart');
failure('directus.collections', 'busy', '53400', "the remote's rate limit is reached",
	'HTTP 429: .*HINT:  Try again in 1 s');
failure('directus.collections', 'pressed', 'HV00N', 'the remote is not available now',
	'HTTP 503: .*pressure.*HINT:  Try again in 7 s');
failure('directus.collections', 'broken', 'HV000', 'the remote could not do it', 'HTTP 500: An unexpected error');
failure('directus.collections', 'binary', 'HV000', 'the remote could not do it', 'HTTP 500: \?\?  binary');
failure('directus.collections', 'redirect', 'HV000', 'the remote redirects.*',
	'HTTP 302.*HINT:  Give the final address');
failure('directus.collections', 'proxy', 'HV00N', 'a proxy could not reach the remote', 'HTTP 502: .an HTML page');
failure('directus.collections', 'long', '54000', 'the request is too large for the remote', 'HTTP 431\.');
failure('directus.collections', 'accepted', 'HV000', 'the remote did not answer the question', 'HTTP 202');
failure('directus.collections', 'cut', 'HV00N', 'the connection was lost before the answer was complete', 'HINT');
failure('qdrant.collections', 'nope', 'HV00R', 'Qdrant has no such collection',
	'HTTP 404: Not found: Collection `nope`');
failure('qdrant.collections', 'elsewhere', 'HV000', 'the remote does not know this address',
	'HTTP 404: .*HINT:  Check that option "url"');
failure('qdrant.collections', 'strict', 'HV000', 'the remote could not do it',
	'Exact search disabled.*HINT:  The collection.s strict mode');
failure('qdrant.collections', 'hidden', '42501', 'forbidden', 'HINT:  Check option "api_key"');
failure('qdrant.collections', 'late', 'HV000', 'the remote gave up for lack of time', 'HTTP 408');
failure('qdrant.collections', 'busy', '53400', "the remote's rate limit is reached", 'HINT:  Try again in 60 s');
failure('down.collections', 'pieces', 'HV00N', 'no connection', 'HINT:  Check that the remote runs');
failure('refused.collections', 'string', 'HV00L', 'its origin is not allowed', 'HINT:  .*iu_core.allowed_origins');
is(scalar($refused->connections), 0, 'nothing is connected for an origin that is not allowed');
IU::Cluster->reload($node, 'iu_core.allowed_networks' => '10.0.0.0/8');
failure('qdrant.collections', 'pieces', 'HV00L', 'its address is not allowed', 'HINT:  .*iu_core.allowed_networks');
IU::Cluster->reload($node, 'iu_core.allowed_networks' => '127.0.0.0/8');

# a kept connection ends with the permission
{
	my $session = $node->background_psql('fdw', on_error_stop => 0);
	$session->query_safe($one);
	IU::Cluster->reload($node, 'iu_core.allowed_networks' => '10.0.0.0/8');
	wait_for { $session->query_safe('SHOW iu_core.allowed_networks') eq '10.0.0.0/8' }
		  or die "the session sees no reload\n";
	$session->query($one);
	my $err = $session->{stderr};
	$session->quit;
	like($err, qr/its address is not allowed/, 'a kept connection is not used once its network is no longer allowed');
	IU::Cluster->reload($node, 'iu_core.allowed_networks' => '127.0.0.0/8');
}

# ---- secrets

sub with_mapping
{
	my ($server, $option, $value, $query) = @_;
	ask("CREATE USER MAPPING FOR postgres SERVER $server OPTIONS ($option '$value')");
	my $result = ask($query);
	ask("DROP USER MAPPING FOR postgres SERVER $server");
	return $result;
}
like(with_mapping('directus', 'token', 'wr0ng', $one),
	pattern(qr/^ERROR:  28000: could not read collection "string" of foreign server "directus": the remote/,
		pattern(qr/ refused the credentials\nDETAIL:  HTTP 401: Invalid user credentials\./,
			qr/\nHINT:  Check option "token" or "token_file" of the user mapping\./)),
			'a wrong token of Directus is an error of credentials');
like(with_mapping('qdrant', 'api_key', 'wr0ng',
	q(SELECT collection, points FROM qdrant.collections WHERE collection = 'pieces')),
	qr/^ERROR:  28000: .*HTTP 401: Invalid API key or JWT\nHINT:  Check option "api_key"/s,
	'a wrong key of Qdrant, answered in plain text, is an error of credentials');
ask('CREATE USER MAPPING FOR postgres SERVER qdrant');
like(ask(q(SELECT collection, points FROM qdrant.collections)),
	pattern(qr/^ERROR:  28000: .*HINT:  Nothing was sent to identify the user: no user mapping gives option/s,
		qr/ "api_key" or "api_key_file"/s), 'without a key the error says that nothing was sent to identify the user');
ask('DROP USER MAPPING FOR postgres SERVER qdrant');
like(with_mapping('qdrant', 'api_key_file', '/nowhere', q(SELECT collection, points FROM qdrant.collections)),
	qr/58P01.*HINT:  The server process/s, 'a file of a key that is not there is an error');
is(with_mapping('directus', 'token_file', $token_file, $one), 'string|163|', 'a token is read from a file');
append_to_file("$token_file.empty", "\n");
like(with_mapping('directus', 'token_file', "$token_file.empty", $one), qr/HV024.*The secret is empty/s,
	'a file without a token is an error');
like(with_mapping('directus', 'token_file', $node->basedir, $one), qr/could not read the file/,
	'a directory in place of a file of a token is an error');
failure('directus.collections', 'echo', 'HV000', 'the remote could not do it', 'left out: it quotes the secret',
	'an answer that quotes the secret is left out of the error');
my $log = slurp_file($node->logfile);
unlike($log, qr/good|wr0ng|file-token/, 'no secret is in the server log');

# ---- a row instead of an error

is(ask(q(SELECT collection, items, error FROM lenient.directus WHERE collection IN ('string', 'none', 'nope',
	  'broken') ORDER BY 1)),
	"broken||the remote could not do it: HTTP 500: An unexpected error occurred.\n"
	  . "none||the answer holds no count: HTTP 200.\n"
	  . 'nope||forbidden, or no such collection: HTTP 403: ' . no_permission('x') =~ s/\\//gr . "\n"
	  . 'string|163|', 'with on_error null what failed has no number and says why');
is(ask(q(SELECT count(items), count(*) FILTER (WHERE items = 0) FROM lenient.directus WHERE collection IN ('none',
	  'html', 'cut', 'huge', 'negative'))), '0|0', 'with on_error null what failed is never counted as a number');
like(ask(q(SELECT * FROM lenient.down WHERE collection = 'pieces')), qr/^pieces\|\|no connection/,
	'with on_error null a peer that is down is a row that says so');
like(ask(q(SELECT * FROM lenient.refused WHERE collection = 'string')), qr/^string\|\|its origin is not allowed/,
	'with on_error null an origin that is not allowed is a row that says so');
like(ask(q(SELECT * FROM lenient.qdrant WHERE collection = 'a/b')), qr/^a\/b\|\|a collection's name holds no slash/,
	'with on_error null a name that cannot be is a row that says so');
like(ask('SELECT count(*) FROM lenient.down'), qr/^ERROR:  HV00N: could not list/,
	'with on_error null a list that failed is an error, since its rows would be a count made up');

# ---- time

like(ask(q(SET statement_timeout = '300ms'; SELECT collection, items, error FROM directus.collections
	  WHERE collection = 'hang')), qr/57014: canceling statement due to statement timeout/,
	'statement_timeout ends a request that hangs');
# The keys are there before the clock runs: looking at a million takes many times as long as it is given.
like(ask(q(CREATE TEMP TABLE many AS SELECT array_agg('key' || n) AS keys FROM generate_series(1, 1000000) n;
	SET statement_timeout = '100ms';
	SELECT count(*) FROM lenient.directus WHERE collection = ANY ((SELECT keys FROM many)::text[]))),
	qr/57014/, 'a million keys are not all asked for before statement_timeout is looked at');
ask(q(ALTER SERVER directus OPTIONS (ADD timeout_ms '3000')));
failure('directus.collections', 'hang', 'HV00N', 'no complete answer in time',
	'HINT:  If the remote is only slow, raise option "timeout_ms"');
like(ask(q(DO $$ BEGIN PERFORM items FROM directus.collections WHERE collection IN ('hang', 'nope');
	  EXCEPTION WHEN insufficient_privilege THEN NULL; END $$;
	SELECT items FROM directus.collections WHERE collection = 'string')), qr/^163$/,
	'an error in a subtransaction leaves nothing behind');
is(ask(q(SELECT count(*) FROM (SELECT FROM lenient.directus WHERE collection IN ('string', 'slow_200_1') LIMIT 1) x;
	  SELECT items FROM directus.collections WHERE collection = 'string')),
	"1\n163", 'a LIMIT leaves a request behind, and no trace of it');

# ---- who may

ask(q(CREATE ROLE stranger; GRANT USAGE ON SCHEMA directus TO stranger));
like(ask("SET ROLE stranger; $one"), qr/42501: permission denied for foreign table/,
	'a foreign table is not for everybody');
ask('GRANT SELECT ON directus.collections TO stranger');
is(ask("SET ROLE stranger; $one"), 'string|163|', 'a role with SELECT reads a foreign table');
like(ask(q(SET ROLE stranger; CREATE SERVER s FOREIGN DATA WRAPPER directus_fdw OPTIONS (url 'http://127.0.0.1:1'))),
	qr/42501/, 'a role without USAGE on the wrapper makes no server');
ask(q(GRANT USAGE ON FOREIGN DATA WRAPPER directus_fdw TO stranger; GRANT CREATE ON SCHEMA public TO stranger));
like(ask("SET ROLE stranger; CREATE SERVER mine FOREIGN DATA WRAPPER directus_fdw OPTIONS (url '@{[$refused->url]}');"
	  . q(CREATE FOREIGN TABLE mine (collection text, items bigint) SERVER mine OPTIONS (resource 'collections');
	  SELECT * FROM mine WHERE collection = 'string')),
	qr/HV00L/, 'a role that may make a server reaches no origin that is not allowed');
is(scalar($refused->connections), 0, 'a server of an origin that is not allowed connects nothing');
# a view asks as its owner
ask(q(CREATE VIEW directus.of_postgres AS SELECT collection, items, error FROM directus.collections;
	  GRANT SELECT ON directus.of_postgres TO stranger; CREATE USER MAPPING FOR stranger SERVER directus
	  OPTIONS (token 'wr0ng')));
is(ask(q(SET ROLE stranger; SELECT items FROM directus.of_postgres WHERE collection = 'string')), 163,
	"a view asks with its owner's user mapping");
like(ask("SET ROLE stranger; $one"), qr/28000/, "a table asks with the reader's user mapping");

$node->stop;
done_testing();
