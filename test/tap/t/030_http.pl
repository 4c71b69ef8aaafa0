# The HTTP client and what it may reach, against a peer that misbehaves.
#
# What is refused is proved by the peer: it saw no connection. Nothing here
# measures time: a request that hangs ends by its own limit, by
# statement_timeout or by a cancel, and each of those says so.

use strict;
use warnings;

use IPC::Run ();
use IU::Certificate;
use IU::Cluster;
use IU::Receiver;
use IU::SQL;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Receiver->start;
my $proxy = IU::Receiver->start;
my $other = IU::Receiver->start;
my $origin = $receiver->origin;
my $by_name = 'http://localhost:' . $receiver->port;
my $closed = 'http://127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();

# The server inherits what would send its requests elsewhere.
$ENV{$_} = $proxy->origin foreach qw(http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY);
delete @ENV{qw(no_proxy NO_PROXY)};

my $node = IU::Cluster->new_node('http', 'iu_core.senders' => 0);
$node->safe_psql('postgres', "CREATE DATABASE u ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('u', 'CREATE EXTENSION iu_core');

talk_to($node, 'u');

sub probe_sql
{
	my ($method, $url, %also) = @_;
	my $headers = $also{headers} ? 'ARRAY[' . join(',', map { literal($_) } @{ $also{headers} }) . ']::text[]' : 'NULL';
	return sprintf('SELECT to_jsonb(p) FROM iu_core.http_probe(%s, %s, %s, %s, %s) p',
		literal($method), literal($url), $headers, literal($also{body}), $also{timeout_ms} // 'NULL');
}

sub probe { return decode_json(sql(probe_sql(@_))) }
sub refused_by { return error_of(probe_sql(@_)) }

# ---------- closed by default ----------

my $answer = probe('GET', "$origin/echo?token=secret");
is($answer->{outcome}, 'origin_refused', 'nothing may be reached by default');
is($answer->{error}, qq(origin "$origin" is not in iu_core.allowed_origins),
	'the refusal of an origin names origin and setting');

IU::Cluster->reload($node, 'iu_core.allowed_origins' => "$origin, $by_name, $closed, http://10.255.255.1,"
	  . " http://nowhere.invalid");
$answer = probe('GET', "$by_name/echo?token=secret");
is($answer->{outcome}, 'address_refused', 'a name that leads to loopback is refused');
like($answer->{error}, qr/^address \S+ of origin "\Q$by_name\E" is not public and not in iu_core.allowed_networks$/,
	'the refusal of an address names address and setting, and not the query');
is(probe('GET', "$origin/echo")->{outcome}, 'address_refused', 'a loopback address is refused');
is(probe('GET', 'http://10.255.255.1/')->{outcome}, 'address_refused', 'a private address is refused');
is(probe('GET', 'http://2130706433:' . $receiver->port)->{outcome}, 'address_refused',
	'another spelling of an address is judged as the address that it means');

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
	is(probe('GET', $url)->{outcome}, 'origin_refused',
		'a URL that is not of an allowed origin is refused: ' . ($url // 'NULL') =~ s/[\r\n]/./gr);
}
is(probe('GET', "$origin/echo", timeout_ms => 1)->{outcome}, 'address_refused',
	'an address is refused before the time of its request is looked at');

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
	my $fine = $setting =~ /origins/ ? 'https://fine.example' : '192.0.2.0/24';
	foreach my $list ($value, "$fine, $value")
	{
		like(error_of("ALTER SYSTEM SET $setting = '$list'"),
			qr/Entry "\Q$value\E" is not an? (origin|network): \Q$reason\E\. An entry is/,
			"a malformed $setting is refused: $list");
	}
}
my $log_position = -s $node->logfile;
my $configuration = slurp_file($node->data_dir . '/postgresql.conf');
$node->append_conf('postgresql.conf', "iu_core.allowed_origins = '$origin, nonsense'\n");
$node->reload;
ok($node->wait_for_log(qr/Entry "nonsense" is not an origin/, $log_position),
	'a malformed entry at reload is named in the log');
is(probe('GET', "$closed/")->{outcome}, 'address_refused', 'a reload with a malformed entry leaves the list as it was');
{
	open(my $file, '>', $node->data_dir . '/postgresql.conf') or die $!;
	print $file $configuration;
}

is($receiver->connections, 0, 'no refused request opened a connection to an allowed port');
is($other->connections, 0, 'no refused request opened a connection to another port');

# ---------- allowed ----------

IU::Cluster->reload($node, 'iu_core.allowed_networks' => '127.0.0.0/8, ::1');
$answer = probe('POST', "$origin/echo?a=b", headers => [ 'X-One: 1', 'X-Empty:', 'Content-Type: application/json' ],
	body => '{"a":1}');
is_deeply([ @$answer{qw(outcome status content_type error retry_after)} ],
	[ 'answered', 200, 'text/plain', undef, undef ], 'an answer has outcome, status and content type');
my ($request) = $receiver->requests;
is($request->{line}, 'POST /echo?a=b HTTP/1.1', 'the request line arrives');
is($request->{body}, '{"a":1}', 'the body of a request arrives');
is_deeply([ @{ $request->{headers} }{qw(x-one x-empty content-type content-length expect accept-encoding)} ],
	[ 1, '', 'application/json', 7, undef, undef ], 'the headers of a request arrive, with none made up');
like($request->{headers}{'user-agent'}, qr{^iu_core/\d}, 'the client says its name');
is(probe('GET', "$by_name/ok")->{body}, "fine\n", 'an allowed origin is reached by its name');
is(probe($_, "$origin/echo")->{status}, 200, "the method $_ is sent") foreach qw(GET POST PUT PATCH DELETE SEARCH);
is(probe('SEARCH', "$origin/echo", body => 'q')->{body} =~ /^SEARCH .*\r\n\r\nq$/s, 1, 'SEARCH carries a body');
is_deeply([ @{ probe('HEAD', "$origin/ok") }{qw(outcome status body)} ], [ 'answered', 200, '' ],
	'an answer to HEAD has no body');
my ($post) = grep { $_->{line} eq 'POST /echo HTTP/1.1' } $receiver->requests;
is_deeply([ @{ $post->{headers} }{qw(content-length content-type)} ], [ 0, undef ],
	'a POST of nothing claims neither a length above 0 nor a type');
my $long = 'x' x 2_000_000;
is(length(probe('POST', "$origin/echo", body => $long)->{body} =~ s/^.*?\r\n\r\n//sr), length($long),
	'two megabytes go there and come back');

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
	is_deeply([ @$answer{qw(outcome status)} ], $expected{$path},
		"an answer of $path comes to $expected{$path}[0]" . ($answer->{error} ? ": $answer->{error}" : ''));
	is(defined $answer->{error}, $answer->{outcome} ne 'answered',
		"an answer of $path has an error text if and only if it is an error") or diag explain $answer;
	unlike($answer->{error} // '', qr/secret|\Q$path\E/, "the error text of $path shows neither path nor query");
}
is((grep { $_->{line} =~ /redirect/ } $receiver->requests), 1, 'a redirect is not followed');
my @retries = map { [ @{ probe('GET', "$origin$_") }{qw(status retry_after)} ] } qw(/busy /past /nonsense /interim);
is_deeply(\@retries, [ [ 429, 17 ], [ 503, 0 ], [ 503, undef ], [ 200, undef ] ],
	'Retry-After is read in seconds, as a time that is past, as nonsense, and not of an interim answer');
cmp_ok(probe('GET', "$origin/later")->{retry_after}, '>', 86400 * 365, 'Retry-After is read as a date');
is(probe('GET', "$origin/dated")->{retry_after}, 40,
	'a date in Retry-After is told by the date of the answer, whatever the time is here');
is(probe('GET', "$origin/binary")->{body}, "a?b?\x{e9}", 'bytes that are no text are replaced');
is(probe('GET', "$origin/typed")->{content_type}, 'a?/?b', 'a content type is made printable');
is(probe('GET', "$closed/")->{outcome}, 'connect_failed', 'a closed port is told as connect_failed');
is(probe('GET', 'http://nowhere.invalid/')->{outcome}, 'dns_failed',
	'a name that does not resolve is told as dns_failed');
is($proxy->connections, 0, 'no request went to the proxy of the environment');

# ---------- limits ----------

is(probe('GET', "$origin/hang", timeout_ms => 3000)->{outcome}, 'timed_out', 'a peer that hangs is told as timed_out');
$answer = probe('GET', "$origin/half", timeout_ms => 3000);
is_deeply([ @$answer{qw(outcome status body)} ], [ 'timed_out', 200, 'half' ],
	'of a peer that hangs halfway status and the body so far are kept');
is($answer->{error}, qq(no complete answer from origin "$origin" within 3000 ms),
	'the error of a request that timed out names its limit');
IU::Cluster->reload($node, 'iu_core.request_timeout' => '2s', 'iu_core.max_response_size' => '64kB',
	'iu_core.max_request_size' => '16kB');
is(probe('GET', "$origin/hang", timeout_ms => 600000)->{error},
	qq(no complete answer from origin "$origin" within 2000 ms),
	'a request may not last longer than iu_core.request_timeout');
IU::Cluster->reload($node, 'iu_core.request_timeout' => '600s');
$answer = probe('GET', "$origin/flood");
is_deeply([ $answer->{outcome}, length $answer->{body} ], [ 'response_too_large', 65536 ],
	'an answer is cut at iu_core.max_response_size');
my $before = $receiver->connections;
$answer = probe('POST', "$origin/echo", body => 'x' x 16385);
is($answer->{outcome}, 'request_too_large', 'a request body over iu_core.max_request_size is refused');
is($answer->{error}, 'request body of 16385 bytes is larger than iu_core.max_request_size (16 kB)',
	'the refusal of a request body names its size and the setting');
is($receiver->connections, $before, 'a request body that is too large is refused before anything is connected');

# ---------- what is not asked of any server ----------

like(refused_by('FETCH', "$origin/"), qr/22023: unsupported HTTP method/, 'an unknown method is refused');
like(refused_by("GET / HTTP/1.1\r\nX: y", "$origin/"), qr/22023: unsupported HTTP method/,
	'a method with a line break is refused');
like(refused_by(undef, "$origin/"), qr/22004: HTTP method is null/, 'a method that is NULL is refused');
like(refused_by('GET', "$origin/", headers => [undef]), qr/22004: HTTP header 1 is null/,
	'a header that is NULL is refused');
like(refused_by('GET', "$origin/", timeout_ms => 0), qr/22023: timeout of an HTTP request must be at least 1 ms/,
	'a timeout of 0 is refused');
like(refused_by('GET', "$origin/", headers => [ 'A: b', 'nothing' ]), qr/22023: HTTP header 2 is not of the form/,
	'a header without a colon is refused');
like(refused_by('GET', "$origin/", headers => [ 'Content-Length: 3' ]),
	qr/22023: HTTP header "content-length" cannot be set/, 'a header that frames the message is refused');
my $error = refused_by('GET', "$origin/", headers => [ "Authorization: secret\r\nX: y" ]);
like($error, qr/22023: HTTP header 1 holds a control character/, 'a header with a line break is refused');
unlike($error =~ s/^.*?STATEMENT.*//sr =~ s/LINE 1.*//sr, qr/secret/,
	'the refusal of a header does not quote its value');
like(refused_by('GET', "$origin/", headers => ["a\x{1}b: c"]), qr/22023: HTTP header 1 is not of the form/,
	'a header name with a control character is refused');

# ---------- cancel ----------

like(error_of("SET statement_timeout = '200ms'; " . probe_sql('GET', "$origin/hang")),
	qr/canceling statement due to statement timeout/, 'statement_timeout ends a waiting request');

foreach my $way ([ 'pg_cancel_backend', qr/canceling statement due to user request/ ],
	[ 'pg_terminate_backend', qr/terminating connection due to administrator command/ ])
{
	my ($function, $message) = @$way;
	my ($in, $result, $said) = ('', '', '');
	my $session = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('u'), '-c', probe_sql('GET', "$origin/hang") ],
		\$in, \$result, \$said, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	my $waiting = "FROM pg_stat_activity WHERE query LIKE '%http\\_probe%' AND wait_event_type = 'Extension'"
		  . " AND pid <> pg_backend_pid()";
	wait_until("SELECT count(*) = 1 $waiting");
	sql("SELECT $function(pid) $waiting");
	$session->finish;
	like($said, $message, "$function ends a request that waits");
}

# A session that goes through all of it keeps no descriptor.
my $paths = join(',', map { literal("$origin$_") } qw(/ok /close /reset /garbage /flood /redirect /keep),
	$closed =~ s/^$origin//r);
my $descriptors = sql(<<"SQL");
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
is($descriptors, '0', 'a session that meets every kind of failure keeps no descriptor');

# ---------- TLS ----------

SKIP:
{
	skip 'openssl is not installed', 3 unless -x '/usr/bin/openssl';

	my $pair = IU::Certificate->self_signed('localhost');
	my ($in, $said, $noise) = ('', '', '');
	my $tls = IPC::Run::start([ qw(openssl s_server -www -accept 127.0.0.1:0 -key), $pair->{key_file}, '-cert',
		$pair->{cert_file} ],
		\$in, \$said, \$noise, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$tls->pump until $said =~ /ACCEPT \S+?:(\d+)\s/;
	my $port = $1;

	IU::Cluster->reload($node, 'iu_core.allowed_origins' => "https://localhost:$port, https://127.0.0.1:"
		  . $receiver->port,
		'iu_core.connect_timeout' => '60s');
	$answer = probe('GET', "https://localhost:$port/");
	is($answer->{outcome}, 'tls_failed', 'a certificate that nobody vouches for is told as tls_failed');
	like($answer->{error}, qr/^no trusted TLS connection to origin "https:\/\/localhost:$port": .*certificate/,
		'the error of a TLS connection says that the certificate is not trusted');
	$tls->kill_kill;

	skip 'ca-certificates is not installed', 1 unless -e '/etc/ssl/certs/ca-certificates.crt';
	IU::Cluster->reload($node, 'iu_core.connect_timeout' => '2s');
	$answer = probe('GET', 'https://127.0.0.1:' . $receiver->port . '/');
	is($answer->{error}, 'no connection to origin "https://127.0.0.1:' . $receiver->port . '" within 2000 ms',
		'iu_core.connect_timeout bounds a handshake');
}

# ---------- privileges ----------

sql('CREATE ROLE nobody_special');
is(sql(<<'SQL'), '', 'no function that reaches the network may be executed by everybody');
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE p.pronamespace = 'iu_core'::regnamespace
   AND p.proname IN ('http_probe', 'webhook_signature', 'egress_refusal', 'address_is_allowed')
   AND has_function_privilege('nobody_special', p.oid, 'EXECUTE')
SQL

$node->stop;
done_testing();
