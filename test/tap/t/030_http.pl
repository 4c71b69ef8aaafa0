# The HTTP client and what it may reach, against a peer that misbehaves.
#
# What is refused is proved by the peer: it saw no connection. Nothing here
# measures time: a request that hangs ends by its own limit, by
# statement_timeout or by a cancel, and each of those says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run ();
use IU::Cluster;
use IU::Receiver;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Receiver->start;
my $proxy = IU::Receiver->start;
my $other = IU::Receiver->start;
my $origin = $receiver->origin;
my $by_name = 'http://localhost:' . $receiver->port;
my $closed_port = do
{
	my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
	$socket->sockport;
};
my $closed = "http://127.0.0.1:$closed_port";

# The server inherits what would send its requests elsewhere.
$ENV{$_} = $proxy->origin foreach qw(http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY);
delete @ENV{qw(no_proxy NO_PROXY)};

my $node = IU::Cluster->new_node('http', 'iu_core.senders' => 0);
$node->safe_psql('postgres', "CREATE DATABASE u ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('u', 'CREATE EXTENSION iu_core');

sub literal
{
	my ($value) = @_;
	return 'NULL' unless defined $value;
	$value =~ s/'/''/g;
	return "'$value'";
}

sub probe_sql
{
	my ($method, $url, %also) = @_;
	my $headers = $also{headers} ? 'ARRAY[' . join(',', map { literal($_) } @{ $also{headers} }) . ']::text[]' : 'NULL';
	return sprintf('SELECT to_jsonb(p) FROM iu_core.http_probe(%s, %s, %s, %s, %s) p',
		literal($method), literal($url), $headers, literal($also{body}), $also{timeout_ms} // 'NULL');
}

sub probe
{
	return decode_json($node->safe_psql('u', probe_sql(@_)));
}

sub refused_by
{
	my (@probe) = @_;
	my ($status, $out, $error) = $node->psql('u', probe_sql(@probe), extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $error;
}

# ---------- closed by default ----------

my $answer = probe('GET', "$origin/echo?token=secret");
is($answer->{outcome}, 'origin_refused', 'nothing may be reached by default');
is($answer->{error}, qq(origin "$origin" is not in iu_core.allowed_origins), 'the refusal names origin and setting');

IU::Cluster->reload($node, 'iu_core.allowed_origins' => "$origin, $by_name, $closed, http://10.255.255.1, http://nowhere.invalid");
$answer = probe('GET', "$by_name/echo?token=secret");
is($answer->{outcome}, 'address_refused', 'a name that leads to loopback is refused');
like($answer->{error}, qr/^address \S+ of origin "\Q$by_name\E" is not public and not in iu_core.allowed_networks$/,
	'the refusal names address and setting, not the query');
is(probe('GET', "$origin/echo")->{outcome}, 'address_refused', 'so is a loopback address');
is(probe('GET', 'http://10.255.255.1/')->{outcome}, 'address_refused', 'and a private one');
is(probe('GET', 'http://2130706433:' . $receiver->port)->{outcome}, 'address_refused',
	'another spelling is judged as the address that it means');

foreach my $url (
	'http://127.0.0.1:' . $other->port . '/',
	'http://user@127.0.0.1:' . $receiver->port . '/',
	"$origin\@127.0.0.1:" . $other->port . '/',
	'http://127.0.0.1:' . $receiver->port . '.evil.example/',
	'https://127.0.0.1:' . $receiver->port . '/',
	'file:///etc/passwd',
	'gopher://127.0.0.1:' . $receiver->port . '/_GET',
	'ftp://127.0.0.1:' . $receiver->port . '/',
	"$origin/a b",
	"$origin/\r\nX: y",
	'', undef)
{
	is(probe('GET', $url)->{outcome}, 'origin_refused', 'refused: ' . ($url // 'NULL') =~ s/[\r\n]/./gr);
}
is(probe('GET', "$origin/echo", timeout_ms => 1)->{outcome}, 'address_refused', 'refused in no time');

# ---------- a malformed setting changes nothing ----------

foreach my $bad (
	[ 'iu_core.allowed_origins', 'https://*.example.com', 'it has a wildcard' ],
	[ 'iu_core.allowed_origins', 'https://example.com/', 'it has a path' ],
	[ 'iu_core.allowed_origins', 'https://user@example.com', 'it has a user part' ],
	[ 'iu_core.allowed_origins', 'https://example.com.', 'its host ends in a dot' ],
	[ 'iu_core.allowed_origins', 'example.com', 'it does not start with http:// or https://' ],
	[ 'iu_core.allowed_origins', 'ftp://example.com', 'it does not start with http:// or https://' ],
	[ 'iu_core.allowed_origins', 'http://2130706433', 'it would be used as "http://127.0.0.1"' ],
	[ 'iu_core.allowed_origins', 'http://a:0', 'its port is not a number from 1 to 65535' ],
	[ 'iu_core.allowed_networks', '10.0.0.1/8', 'bits to the right of the prefix are set' ],
	[ 'iu_core.allowed_networks', '10.0.0.0/33', 'the length of the prefix is not a number in range' ],
	[ 'iu_core.allowed_networks', 'localhost', 'it is not an IPv4 or IPv6 address' ],
	[ 'iu_core.allowed_networks', '::ffff:10.0.0.0/104', 'an IPv4 network is written as IPv4' ])
{
	my ($setting, $value, $reason) = @$bad;
	my ($status, $out, $error) = $node->psql('u', "ALTER SYSTEM SET $setting = 'https://fine.example, $value'");
	($status, $out, $error) = $node->psql('u', "ALTER SYSTEM SET $setting = '$value'");
	like($error, qr/Entry "\Q$value\E" is not an? (origin|network): \Q$reason\E\. An entry is/, "$setting: $value");
}
my $log_position = -s $node->logfile;
my $configuration = slurp_file($node->data_dir . '/postgresql.conf');
$node->append_conf('postgresql.conf', "iu_core.allowed_origins = '$origin, nonsense'\n");
$node->reload;
ok($node->wait_for_log(qr/Entry "nonsense" is not an origin/, $log_position), 'a malformed entry at reload is named in the log')
  if $node->can('wait_for_log');
is(probe('GET', "$closed/")->{outcome}, 'address_refused', 'and the list stays as it was');
{
	open(my $file, '>', $node->data_dir . '/postgresql.conf') or die $!;
	print $file $configuration;
}

is($receiver->connections, 0, 'no refused request opened a connection');
is($other->connections, 0, 'to any port');

# ---------- allowed ----------

IU::Cluster->reload($node, 'iu_core.allowed_networks' => '127.0.0.0/8, ::1');
$answer = probe('POST', "$origin/echo?a=b", headers => [ 'X-One: 1', 'X-Empty:', 'Content-Type: application/json' ], body => '{"a":1}');
is_deeply([ @$answer{qw(outcome status content_type error retry_after)} ], [ 'answered', 200, 'text/plain', undef, undef ], 'an answer');
my ($request) = $receiver->requests;
is($request->{line}, 'POST /echo?a=b HTTP/1.1', 'the request line arrives');
is($request->{body}, '{"a":1}', 'and the body');
is_deeply([ @{ $request->{headers} }{qw(x-one x-empty content-type content-length expect accept-encoding)} ],
	[ 1, '', 'application/json', 7, undef, undef ], 'and the headers, none made up');
like($request->{headers}{'user-agent'}, qr{^iu_core/\d}, 'the client says its name');
is(probe('GET', "$by_name/ok")->{body}, "fine\n", 'by name');
is(probe($_, "$origin/echo")->{status}, 200, $_) foreach qw(GET POST PUT PATCH DELETE SEARCH);
is(probe('SEARCH', "$origin/echo", body => 'q')->{body} =~ /^SEARCH .*\r\n\r\nq$/s, 1, 'SEARCH carries a body');
is_deeply([ @{ probe('HEAD', "$origin/ok") }{qw(outcome status body)} ], [ 'answered', 200, '' ], 'HEAD');
my ($post) = grep { $_->{line} eq 'POST /echo HTTP/1.1' } $receiver->requests;
is_deeply([ @{ $post->{headers} }{qw(content-length content-type)} ], [ 0, undef ], 'a POST of nothing claims no type');
my $long = 'x' x 2_000_000;
is(length(probe('POST', "$origin/echo", body => $long)->{body} =~ s/^.*?\r\n\r\n//sr), length($long), 'two megabytes there and back');

# ---------- a peer that misbehaves ----------

my %expected = (
	'/gone'      => [ 'answered',           410 ],
	'/redirect'  => [ 'answered',           302 ],
	'/nowhere'   => [ 'answered',           404 ],
	'/gzip'      => [ 'answered',           200 ],
	'/close'     => [ 'connection_lost',    undef ],
	'/reset'     => [ 'connection_lost',    200 ],
	'/short'     => [ 'connection_lost',    200 ],
	'/garbage'   => [ 'not_http',           undef ],
	'/flood'     => [ 'response_too_large', 200 ],
	'/announced' => [ 'response_too_large', 200 ],
	'/headers'   => [ 'response_too_large', 200 ],
	'/interims'  => [ 'response_too_large', 103 ],
);
foreach my $path (sort keys %expected)
{
	$answer = probe('GET', "$origin$path?token=secret");
	is_deeply([ @$answer{qw(outcome status)} ], $expected{$path}, "$path: " . ($answer->{error} // 'no error'));
	is(defined $answer->{error}, $answer->{outcome} ne 'answered', 'an error text where there is an error') or diag explain $answer;
	unlike($answer->{error} // '', qr/secret|\Q$path\E/, 'without the path and the query');
}
is((grep { $_->{line} =~ /redirect/ } $receiver->requests), 1, 'the redirect was not followed');
my @retries = map { [ @{ probe('GET', "$origin$_") }{qw(status retry_after)} ] } qw(/busy /past /nonsense /interim);
is_deeply(\@retries, [ [ 429, 17 ], [ 503, 0 ], [ 503, undef ], [ 200, undef ] ], 'Retry-After in seconds, past, nonsense, of an interim answer');
cmp_ok(probe('GET', "$origin/later")->{retry_after}, '>', 86400 * 365, 'Retry-After as a date');
is(probe('GET', "$origin/binary")->{body}, "a?b?\x{e9}", 'bytes that are no text are replaced');
is(probe('GET', "$origin/typed")->{content_type}, 'a?/?b', 'a content type is made printable');
is(probe('GET', "$closed/")->{outcome}, 'connect_failed', 'a closed port');
is(probe('GET', 'http://nowhere.invalid/')->{outcome}, 'dns_failed', 'a name that does not resolve');
is($proxy->connections, 0, 'no request went to the proxy of the environment');

# ---------- limits ----------

is(probe('GET', "$origin/hang", timeout_ms => 200)->{outcome}, 'timed_out', 'a peer that hangs');
$answer = probe('GET', "$origin/half", timeout_ms => 200);
is_deeply([ @$answer{qw(outcome status body)} ], [ 'timed_out', 200, 'half' ], 'a peer that hangs halfway');
is($answer->{error}, qq(no complete answer from origin "$origin" within 200 ms), 'the limit is named');
IU::Cluster->reload($node, 'iu_core.request_timeout' => '250ms', 'iu_core.max_response_size' => '64kB', 'iu_core.max_request_size' => '16kB');
is(probe('GET', "$origin/hang", timeout_ms => 600000)->{error}, qq(no complete answer from origin "$origin" within 250 ms),
	'iu_core.request_timeout is the most');
IU::Cluster->reload($node, 'iu_core.request_timeout' => '600s');
$answer = probe('GET', "$origin/flood");
is_deeply([ $answer->{outcome}, length $answer->{body} ], [ 'response_too_large', 65536 ], 'an answer is cut at iu_core.max_response_size');
my $before = $receiver->connections;
$answer = probe('POST', "$origin/echo", body => 'x' x 16385);
is($answer->{outcome}, 'request_too_large', 'a request is refused over iu_core.max_request_size');
is($answer->{error}, 'request body of 16385 bytes is larger than iu_core.max_request_size (16 kB)', 'which is named');
is($receiver->connections, $before, 'before anything was connected');

# ---------- what is not asked of any server ----------

like(refused_by('FETCH', "$origin/"), qr/22023: unsupported HTTP method/, 'unknown method');
like(refused_by("GET / HTTP/1.1\r\nX: y", "$origin/"), qr/22023: unsupported HTTP method/, 'a method with a line break');
like(refused_by(undef, "$origin/"), qr/22004: HTTP method is null/, 'no method');
like(refused_by('GET', "$origin/", headers => [undef]), qr/22004: HTTP header 1 is null/, 'a null header');
like(refused_by('GET', "$origin/", timeout_ms => 0), qr/22023: timeout of an HTTP request must be at least 1 ms/, 'no time');
like(refused_by('GET', "$origin/", headers => [ 'A: b', 'nothing' ]), qr/22023: HTTP header 2 is not of the form/, 'no header');
like(refused_by('GET', "$origin/", headers => [ 'Content-Length: 3' ]), qr/22023: HTTP header "content-length" cannot be set/, 'a framing header');
my $error = refused_by('GET', "$origin/", headers => [ "Authorization: secret\r\nX: y" ]);
like($error, qr/22023: HTTP header 1 holds a control character/, 'a header with a line break');
unlike($error =~ s/^.*?STATEMENT.*//sr =~ s/LINE 1.*//sr, qr/secret/, 'whose value is not quoted');
like(refused_by('GET', "$origin/", headers => ["a\x{1}b: c"]), qr/22023: HTTP header 1 is not of the form/, 'a header name with a control character');

# ---------- cancel ----------

my ($status, $out, $stderr) = $node->psql('u', "SET statement_timeout = '200ms'; " . probe_sql('GET', "$origin/hang"));
like($stderr, qr/canceling statement due to statement timeout/, 'statement_timeout ends a waiting request');

foreach my $way ([ 'pg_cancel_backend', qr/canceling statement due to user request/ ],
	[ 'pg_terminate_backend', qr/terminating connection due to administrator command/ ])
{
	my ($function, $message) = @$way;
	my ($in, $result, $said) = ('', '', '');
	my $session = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('u'), '-c', probe_sql('GET', "$origin/hang") ],
		\$in, \$result, \$said, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	my $waiting = "FROM pg_stat_activity WHERE query LIKE '%http\\_probe%' AND wait_event_type = 'Extension' AND pid <> pg_backend_pid()";
	$node->poll_query_until('u', "SELECT count(*) = 1 $waiting");
	$node->safe_psql('u', "SELECT $function(pid) $waiting");
	$session->finish;
	like($said, $message, "$function ends it");
}

# A session that goes through all of it keeps no descriptor.
my $paths = join(',', map { literal("$origin$_") } qw(/ok /close /reset /garbage /flood /redirect /keep), $closed =~ s/^$origin//r);
my $descriptors = $node->safe_psql('u', <<"SQL");
DO \$\$
DECLARE
  v_path text;
  v_open bigint[];
BEGIN
  FOR v_round IN 1 .. 20 LOOP
    FOREACH v_path IN ARRAY ARRAY[$paths] LOOP
      PERFORM iu_core.http_probe('GET', v_path, timeout_ms => 60000);
    END LOOP;
    BEGIN
      PERFORM iu_core.http_probe('GET', '$origin/', ARRAY['bad']);
    EXCEPTION WHEN invalid_parameter_value THEN NULL;
    END;
    v_open[v_round] := (SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/fd'));
  END LOOP;
  PERFORM set_config('test.left', (v_open[20] - v_open[2])::text, false);
END \$\$;
SELECT current_setting('test.left');
SQL
is($descriptors, '0', 'no descriptor is left behind');

# ---------- TLS ----------

SKIP:
{
	my $openssl = -x '/usr/bin/openssl' ? '/usr/bin/openssl' : undef;
	skip 'openssl is not installed', 3 unless $openssl;

	my $folder = PostgreSQL::Test::Utils::tempdir();
	system_or_bail($openssl, qw(req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost),
		'-keyout', "$folder/key.pem", '-out', "$folder/cert.pem");
	my ($in, $said, $noise) = ('', '', '');
	my $tls = IPC::Run::start([ $openssl, qw(s_server -www -accept 127.0.0.1:0), '-key', "$folder/key.pem", '-cert', "$folder/cert.pem" ],
		\$in, \$said, \$noise, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$tls->pump until $said =~ /ACCEPT \S+?:(\d+)\s/;
	my $port = $1;

	IU::Cluster->reload($node, 'iu_core.allowed_origins' => "https://localhost:$port, https://127.0.0.1:" . $receiver->port,
		'iu_core.connect_timeout' => '300ms');
	$answer = probe('GET', "https://localhost:$port/");
	is($answer->{outcome}, 'tls_failed', 'a certificate that nobody vouches for');
	like($answer->{error}, qr/^no trusted TLS connection to origin "https:\/\/localhost:$port": .*certificate/, 'and why');
	$tls->kill_kill;

	skip 'ca-certificates is not installed', 1 unless -e '/etc/ssl/certs/ca-certificates.crt';
	$answer = probe('GET', 'https://127.0.0.1:' . $receiver->port . '/');
	is($answer->{error}, 'no connection to origin "https://127.0.0.1:' . $receiver->port . '" within 300 ms',
		'iu_core.connect_timeout bounds a handshake');
}

# ---------- privileges ----------

$node->safe_psql('u', 'CREATE ROLE nobody_special');
is($node->safe_psql('u', <<'SQL'), '', 'nothing of it is for everybody');
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE p.pronamespace = 'iu_core'::regnamespace
   AND p.proname IN ('http_probe', 'webhook_signature', 'egress_refusal', 'address_is_allowed')
   AND has_function_privilege('nobody_special', p.oid, 'EXECUTE')
SQL

$node->stop;
done_testing();
