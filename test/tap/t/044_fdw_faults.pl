# The fault table: everything that can go wrong between a query and a remote,
# for each kind of question that the wrappers ask. Each fault has its SQLSTATE,
# its words and its hint, or, where a table of collections has on_error 'null',
# a row without a number that says why. Never a number that nobody gave, never
# the first pages for the whole.
use strict;
use warnings;

use IU::Answers;
use IU::Canned;
use IU::Certificate;
use IU::Cluster;
use IU::Peer;
use IU::SQL;
use IU::Wire;
use JSON::PP qw(decode_json);
use IU::Lines;
use PostgreSQL::Test::Utils;
use Test::More;

sub uri_unescape { return $_[0] =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger }

# ---- the questions: SQL with %s for the collection's name

my %questions = (
	qdrant => {
		lookup => 'SELECT points FROM qdrant.collections WHERE collection = %s',
		listing => 'SELECT * FROM qdrant_list.collections',
		import => 'IMPORT FOREIGN SCHEMA data FROM SERVER qdrant_list INTO imported',
		count => 'SELECT count(*) FROM qdrant.points WHERE collection = %s',
		scan => 'SELECT id, payload FROM qdrant.points WHERE collection = %s',
		page => q(SELECT id, payload FROM qdrant.points WHERE collection = 'later-' || %s),
		ids => q(SELECT payload FROM qdrant.points WHERE collection = %s AND id IN ('1', '2')),
		lenient => 'SELECT * FROM lenient.qdrant WHERE collection = %s' },
	directus => {
		lookup => 'SELECT items FROM directus.collections WHERE collection = %s',
		listing => 'SELECT * FROM directus_list.collections',
		import => 'IMPORT FOREIGN SCHEMA data FROM SERVER directus_list INTO imported',
		count => 'SELECT count(*) FROM directus.items WHERE collection = %s',
		scan => 'SELECT id, item FROM directus.items WHERE collection = %s',
		page => q(SELECT id, item FROM directus.items WHERE collection = 'later-' || %s),
		ids => q(SELECT item FROM directus.items WHERE collection = %s AND id IN ('1', '2')),
		lenient => 'SELECT * FROM lenient.directus WHERE collection = %s' });
my @all = qw(lookup lenient listing import count scan page ids);
my @keyed = grep { $_ !~ /^(listing|import)$/ } @all;
my @counting = qw(lookup lenient count);

# ---- the faults: what the remote does; SQLSTATE, reason, detail, hint; of which questions, if not of all

sub says
{
	my ($status, $qdrant, $directus, @headers) = @_;
	return { qdrant => qdrant_error($status, $qdrant, @headers),
		directus => directus_error($status, $directus, @headers) };
}

sub both { my (%reply) = @_; return { qdrant => {%reply}, directus => {%reply} } }

sub number
{
	my ($number) = @_;
	return { qdrant => qdrant_result(qq({"count":$number})), directus => directus_data(qq([{"count":$number}])) };
}

my $forbidden = q(You don't have permission to access collection \"x\" or it does not exist. Queried in root.);
my $html = '<html><body>Sign in</body></html>';
my @faults = (
	# statuses
	[ unauthorized => { qdrant => { status => 401, body => 'Invalid API key or JWT', type => 'text/plain' },
	directus => says(401, '', 'Invalid user credentials.')->{directus} },
		'28000', qr/the remote refused the credentials/,
		{ qdrant => qr/^HTTP 401: Invalid API key or JWT$/, directus => qr/^HTTP 401: Invalid user credentials\.$/ },
		{ qdrant => qr/^Check option "api_key" or "api_key_file" of the user mapping/,
		directus => qr/^Check option "token" or "token_file" of the user mapping/ } ],
	[ expired => { qdrant => { status => 403, body => 'ExpiredSignature', type => 'text/plain' },
	directus => says(401, '', 'Token expired.')->{directus} },
		'28000', qr/refused the credentials/,
		{ qdrant => qr/^HTTP 403: ExpiredSignature$/, directus => qr/^HTTP 401: Token expired\.$/ },
		{ qdrant => qr/^The token in the user mapping has expired/, directus => qr/^Check option/ } ],
	[ forbidden => says(403, 'Forbidden: Access to collection x is required', $forbidden),
		'42501', { qdrant => qr/forbidden/,
		directus => qr/forbidden, or no such collection|the token may not list|the token may not read which fields/ },
		qr/^HTTP 403: (Forbidden: Access|You don't have permission)/,
		{ qdrant => qr/"api_key".*what that key may read/,
		directus => qr/^Directus does not tell the two apart|^Restrict column "collection"|^Give the user mapping/ } ],
	[ missing_collection => says(404, q(Not found: Collection `x` doesn't exist!), q(Route /x doesn't exist.)),
		{ qdrant => 'HV00R', directus => 'HV000' },
		{ qdrant => qr/Qdrant has no such collection/, directus => qr/does not know this address/ },
		qr/^HTTP 404: (Not found: Collection|Route)/, { qdrant => undef, directus => qr/^Check that option "url"/ },
		[@keyed] ],
	[ no_route => both(status => 404, body => ''), 'HV000', qr/does not know this address/, qr/^HTTP 404\.$/,
	qr/^Check that option "url" of the foreign server leads to the API/ ],
	[ request_timeout => says(408, q(Timeout: Timeout error: Operation 'count' timed out after 1s),
	'Request timed out.'),
		'HV000', qr/gave up for lack of time/, qr/^HTTP 408: /, qr/^Try again when it is less busy/ ],
	[ too_large_a_request => both(status => 413, body => "<html>413 Request Entity Too Large</html>",
	type => 'text/html'),
		'54000', qr/the request is too large for the remote/, qr/^HTTP 413: \(an HTML page\)$/,
		qr/^Ask for less at once/ ],
	[ limited => says(429, 'Rate limiting exceeded: Retry after 0s', 'Too many requests, retry after 479ms.',
	'Retry-After: 0'),
		'53400', qr/the remote's rate limit is reached/, qr/^HTTP 429: /, qr/^Try again in 1 s\.$/ ],
	[ limited_long => says(429, 'Rate limiting exceeded: Retry after 60s', 'Too many requests, retry after 60s.',
	'Retry-After: 60'),
		'53400', qr/the remote's rate limit is reached/, qr/^HTTP 429: /, qr/^Try again in 60 s\.$/ ],
	[ limited_somehow => says(429, 'Rate limiting exceeded', 'Too many requests.'), '53400',
	qr/the remote's rate limit is reached/, qr/^HTTP 429: /, qr/^Try again later\.$/ ],
	[ too_long_a_header => both(status => 431, body => ''), '54000', qr/the request is too large for the remote/,
	qr/^HTTP 431\.$/, qr/^Ask for less at once/ ],
	[ internal => says(500, 'Service internal error: shard 0 is gone', 'An unexpected error occurred.'), 'HV000',
	qr/the remote could not do it/, qr/^HTTP 500: (Service internal|An unexpected)/, qr/log/ ],
	[ bad_gateway => both(status => 502, body => $html, type => 'text/html'), 'HV00N',
	qr/a proxy could not reach the remote/, qr/^HTTP 502: \(an HTML page\)$/, qr/^Check that the remote runs/ ],
	[ unavailable => says(503, 'Shard temporarily unavailable: x', 'Service \"api\" is unavailable. Under pressure.',
	'Retry-After: 7'),
		'HV00N', qr/the remote is not available now/, qr/^HTTP 503: /, qr/^Try again in 7 s\.$/ ],
	[ redirect => both(status => 302, body => '', headers => ['Location: /elsewhere']), 'HV000',
	qr/the remote redirects, and redirects are not followed/, qr/^HTTP 302\.$/, qr/^Give the final address/ ],
	[ accepted => both(status => 202, body => '{}'), 'HV000', qr/the remote did not answer the question/, qr/^HTTP 202/,
	undef ],

	# bodies
	[ html => both(status => 200, body => $html, type => 'text/html; charset=utf-8'), 'HV000',
	qr/the answer is not usable JSON/, qr/^HTTP 200: .*\(an HTML page\)$/, qr/^Check that option "url"/ ],
	[ html_as_json => both(status => 200, body => $html), 'HV000', qr/the answer is not usable JSON/,
	qr/^HTTP 200: .*begins: <html>/, qr/^Check that option "url"/ ],
	[ empty_body => both(status => 200, body => ''), 'HV000', qr/the answer is not usable JSON/,
	qr/^HTTP 200: it is empty/, qr/^Check that option "url"/ ],
	[ truncated => { qdrant => { status => 200, body => '{"result":{"count":14' },
	directus => { status => 200, body => '{"data":[{"count":"16' } },
		'HV000', qr/the answer is not usable JSON/, qr/^HTTP 200: .*begins: \{/, qr/^Check that option "url"/ ],
	[ truncated_page => { qdrant => { status => 200, body => '{"result":{"points":[{"id":1,"payload":{}},' },
	directus => { status => 200, body => '{"meta":{"filter_count":2},"data":[{"id":1},' } },
		'HV000', qr/the answer is not usable JSON/, qr/^HTTP 200: .*begins: \{/, qr/^Check that option "url"/ ],
	[ zero_byte => both(status => 200, body => qq({"result":{"count":1}}\0)), 'HV000',
	qr/the answer is not usable JSON/, qr/^HTTP 200: /, qr/^Check that option "url"/ ],
	[ scalar => both(status => 200, body => '163'), 'HV000', qr/the answer is not usable JSON/,
	qr/^HTTP 200: .*begins: 163$/, qr/^Check that option "url"/ ],
	[ empty_object => both(status => 200, body => '{}'), 'HV000', qr/holds no /, qr/^(HTTP 200|$)/, undef ],
	[ empty_array => both(status => 200, body => '[]'), 'HV000', qr/holds no /, qr/^(HTTP 200|$)/, undef ],
	[ null_data => both(status => 200, body => '{"result":null,"data":null}'), 'HV000', qr/holds no /,
	qr/^(HTTP 200|$)/, undef ],

	# numbers
	[ count_words => number('"many"'), 'HV000', qr/the count is not a whole number/, qr/^HTTP 200/, undef,
	[@counting] ],
	[ count_blank => number('""'), 'HV000', qr/the count is not a whole number/, qr/^HTTP 200/, undef, [@counting] ],
	[ count_spaced => number('" 5"'), 'HV000', qr/the count is not a whole number/, qr/^HTTP 200/, undef, [@counting] ],
	[ count_negative => number('-1'), 'HV000', qr/the count is negative/, qr/^HTTP 200/, undef, [@counting] ],
	[ count_negative_text => number('"-1"'), 'HV000', qr/the count is negative/, qr/^HTTP 200/, undef, [@counting] ],
	[ count_fraction => number('1.5'), 'HV000', qr/the count is not a whole number/, qr/^HTTP 200/, undef,
	[@counting] ],
	[ count_whole_fraction => number('4.0'), 'HV000', qr/the count is not a whole number/, qr/^HTTP 200/, undef,
	[@counting] ],
	[ count_small => number('1e-3'), 'HV000', qr/the count is not a whole number/, qr/^HTTP 200/, undef, [@counting] ],
	[ count_infinite => number('1e400'), 'HV000', qr/the count is too large for bigint/, qr/^HTTP 200/, undef,
	[@counting] ],
	[ count_huge => number('18446744073709551615'), 'HV000', qr/the count is too large for bigint/, qr/^HTTP 200/,
	undef, [@counting] ],
	[ count_huge_text => number('"18446744073709551615"'), 'HV000', qr/the count is too large for bigint/,
	qr/^HTTP 200/, undef, [@counting] ],
	[ count_one_over => number('9223372036854775808'), 'HV000', qr/the count is too large for bigint/, qr/^HTTP 200/,
	undef, [@counting] ],
	[ count_null => number('null'), 'HV000', qr/the answer holds no count/, qr/^HTTP 200/, undef, [@counting] ],
	[ count_true => number('true'), 'HV000', qr/the answer holds no count/, qr/^HTTP 200/, undef, [@counting] ],
	[ count_object => number('{"id":"163"}'), 'HV000', qr/the answer holds no count/, qr/^HTTP 200/, undef,
	[@counting] ],
	[ count_missing => { qdrant => { status => 200, body => '{"result":{},"status":"ok"}' },
	directus => { status => 200, body => '{"data":[{}]}' } },
		'HV000', qr/the answer holds no count/, qr/^HTTP 200/, undef, [@counting] ],

	# time and connections
	[ slow_headers => both(hang => 1), 'HV00N', qr/no complete answer in time/,
	qr/^no complete answer from origin "[^"]*" within 700 ms$/,
	qr/^If the remote is only slow, raise option "timeout_ms"/ ],
	[ slow_body => both(status => 200, body => '{"result":{"count":149},"data":[{"count":163}]}' . ' ' x 20,
	stall => 1), 'HV00N', qr/no complete answer in time/, qr/within 700 ms$/, qr/^If the remote is only slow/ ],
	[ cut => both(status => 200, body => '{"result":{"count":149},"data":[{"count":163}]}' . ' ' x 20, cut => 1),
	'HV00N', qr/the connection was lost before the answer was complete/, qr/^origin "[^"]*" broke off/,
	qr/^Try again/ ],
	[ reset => both(reset => 1), 'HV00N', qr/the connection was lost before the answer was complete/,
	qr/^origin "[^"]*" broke off/, qr/^Try again/ ]);
my %fault = map { $_->[0] => $_ } @faults;

# ---- the peers: a fault by the collection's name, or by a prefix of the url for what has none

sub qdrant
{
	my ($request) = @_;
	return $fault{$1}[1]{qdrant} if $request->{path} =~ m{^/(\w+)/} && $fault{$1};
	my ($later, $name) = $request->{path} =~ m{^/collections/(later-)?([^/?]+)}
		  or return says(404, 'Not found')->{qdrant};
	return qdrant_result('{"points":[{"id":1,"payload":{"n":1}}],"next_page_offset":2}')
		  if $later && $request->{body} !~ /"offset":2\b/;
	return { %{ qdrant_result('{"count":1}') }, together => 3, group => $request->{body} } if $name =~ /^kept/;
	return $request->{nth} == 1 ? { status => 200, body => '{"result":{"count":149},"status":"ok","time":0.0}' }
		  : { reset => 1 } if $name eq 'reused';
	return $fault{$name}[1]{qdrant};
}

# Strings as keys, the first of which looks like a number. 'b' is there, and is
# asked for when the database behind is failing.
my $asked_for_b = 0;
sub outage
{
	my ($request) = @_;
	my $query = uri_unescape("$request->{path} $request->{body}");
	my $broken = says(500, '', 'An unexpected error occurred.')->{directus};

	return { status => 200, body => '{"data":[{"id":"1"}]}' } if $query !~ /_in/ && $asked_for_b < 2;
	return { status => 200, body => '{"meta":{"filter_count":1},"data":[{"id":"1"}]}' }
		  if $query =~ /_in/ && $query !~ /"b"/;
	$asked_for_b++;
	return $broken;
}

sub directus
{
	my ($request) = @_;
	return outage($request) if $request->{path} =~ m{^/items/outage\b};
	return $fault{$1}[1]{directus} if $request->{path} =~ m{^/(\w+)/} && $fault{$1};
	return says(403, '', $forbidden)->{directus} if $request->{path} =~ m{^/permissions/me};
	my ($later, $name) = $request->{path} =~ m{^/items/(later-)?([^/?]+)}
		  or return says(404, '', 'Route x')->{directus};
	return { status => 200, body => '{"meta":{"filter_count":5},"data":[{"id":1,"n":1},{"id":2,"n":1}]}' }
		  if $later && "$request->{path} $request->{body}" !~ /offset(=|":)[1-9]/;
	return { status => 200, body => '{"data":[{"count":"1"}]}', together => 3, group => $request->{path} =~ s/kept.//r }
		  if $name =~ /^kept/;
	return $request->{nth} == 1 ? { status => 200, body => '{"data":[{"count":"163"}]}' } : { reset => 1 }
		  if $name eq 'reused';
	return $fault{$name}[1]{directus};
}

my %peer = (qdrant => IU::Canned->start(\&qdrant), directus => IU::Canned->start(\&directus),
	refused => IU::Canned->start(\&qdrant));
my $tls = IU::Peer->start('receiver');
my $pair = IU::Certificate->self_signed('other.test');
my $tls_port = $tls->control('tls', { names => { map { $_ => $pair } 'wrong.test', 'other.test' } })->{port};
my $closed = PostgreSQL::Test::Cluster::get_free_port();

# Servers that are not there, each in its own way; both wrappers have each.
my %nowhere = (
	down => [ "http://127.0.0.1:$closed", 'HV00N', qr/no connection/,
	qr/^could not connect to origin "[^"]*": .*refused/i, qr/^Check that the remote runs, and host and port/ ],
	dns => [ 'http://nowhere.test', 'HV00N', qr/its host name did not resolve/,
	qr/^host name of origin "http:\/\/nowhere\.test" could not be resolved$/, qr/^Check the host in option "url"/ ],
	wrong_name => [ "https://wrong.test:$tls_port", 'HV00N', qr/TLS failed/,
	pattern(qr/^no trusted TLS connection to origin "https:\/\/wrong\.test:\d+": /i,
		qr/.*(certificate subject name|subjectAltName|alternative certificate)/i),
		qr/^The certificate must be valid for the host in option "url"/ ],
	origin => [ $peer{refused}->url, 'HV00L', qr/its origin is not allowed/, qr/is not in iu_core\.allowed_origins$/,
	qr/^A superuser can add the scheme, host and port/ ],
	address => [ 'http://far.test', 'HV00L', qr/its address is not allowed/,
	qr/^address 10\.1\.2\.3 of origin "http:\/\/far\.test" is not public and not in iu_core\.allowed_networks$/,
	qr/^A superuser can add the network/ ]);

# ---- the database

my $wire = IU::Wire->new(0);
$wire->trust($pair->{cert_file});
$wire->name($_, ['127.0.0.1']) for 'wrong.test', 'other.test';
$wire->name('nowhere.test', []);
$wire->name('far.test', ['10.1.2.3']);
my $node = IU::Cluster->init_node('faults', {}, 'iu_core.databases' => '', 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.allowed_origins' => join(', ', $peer{qdrant}->url, $peer{directus}->url, "https://other.test:$tls_port",
	map({ $nowhere{$_}[0] } grep { $_ ne 'origin' } sort keys %nowhere)));
$wire->start($node);

my $setup = 'CREATE EXTENSION iu_core; CREATE SCHEMA lenient; CREATE SCHEMA imported;';
foreach my $api (qw(qdrant directus))
{
	my $count = $api eq 'qdrant' ? 'points' : 'items';
	my %url = ($api => $peer{$api}->url, "${api}_list" => $peer{$api}->url,
		map { ("${api}_$_" => $nowhere{$_}[0]) } keys %nowhere);
	foreach my $server (sort keys %url)
	{
		$setup .= "CREATE SERVER $server FOREIGN DATA WRAPPER ${api}_fdw OPTIONS (url '$url{$server}');"
		  . " CREATE SCHEMA $server; IMPORT FOREIGN SCHEMA api FROM SERVER $server INTO $server;"
		  . "CREATE USER MAPPING FOR PUBLIC SERVER $server OPTIONS (" . ($api eq 'qdrant' ? 'api_key' : 'token')
		  . " 's3cret');"
		  . "CREATE FOREIGN TABLE lenient.$server (collection text, $count bigint, error text) SERVER $server"
		  . " OPTIONS (resource 'collections', on_error 'null');";
	}
}
$setup .= <<'SQL';
CREATE FUNCTION attempt(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_rows jsonb; v_state text; v_message text; v_detail text; v_hint text;
BEGIN
  IF query ~ '^IMPORT' THEN
    EXECUTE query;
  ELSE
    EXECUTE format('SELECT jsonb_agg(r) FROM (%s) r', query) INTO v_rows;
  END IF;
  RETURN jsonb_build_object('rows', v_rows);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL,
    v_hint = PG_EXCEPTION_HINT;
  RETURN jsonb_build_object('state', v_state, 'message', v_message, 'detail', v_detail, 'hint', v_hint);
END $$;
SQL
$setup .= "ALTER SERVER directus OPTIONS (ADD page_size '2')";
talk_to($node);
sql($setup);

sub attempt
{
	my (@queries) = @_;
	my $all = sql(join "\n", map { (ref $_ ? "$$_;" : "SELECT attempt(\$q\$$_\$q\$);") } @queries);
	return map { decode_json($_) } split /\n/, $all;
}

sub of { my ($api, $what) = @_; return ref $what eq 'HASH' ? $what->{$api} : $what }

# One failure as it must be; says what is not, or nothing.
sub wrong_failure
{
	my ($got, $state, $reason, $detail, $hint, $where) = @_;
	return 'it gave ' . encode($got->{rows}) if exists $got->{rows};
	return "SQLSTATE $got->{state}: $got->{message}: $got->{detail}" unless $got->{state} eq $state;
	return "message: $got->{message}" unless $got->{message} =~ /^\Q$where\E: .*$reason/;
	return "detail: $got->{detail}" unless $got->{detail} =~ $detail;
	return "hint: $got->{hint}" unless defined $hint ? $got->{hint} =~ $hint : 1;
	return 'it quotes the secret' if join(' ', values %$got) =~ /s3cret/;
	return;
}

sub encode { return JSON::PP->new->canonical->allow_nonref->encode($_[0]) }

# One row of the collection, without a number, with the reason.
sub wrong_row
{
	my ($got, $name, $reason, $detail) = @_;
	return "SQLSTATE $got->{state}: $got->{message}" unless $got->{rows};
	return 'it gave ' . encode($got->{rows}) unless @{ $got->{rows} } == 1;
	my %row = %{ $got->{rows}[0] };
	my ($number) = grep { defined } @row{qw(points items)};
	return 'a number: ' . $number if defined $number;
	return "collection: $row{collection}" unless $row{collection} eq $name;
	return "error: $row{error}" unless $row{error} =~ /^.*?$reason.*?: (.*)$/s && $1 =~ $detail;
	return;
}

sub check
{
	my ($api, $server, $name, $question, $got, $state, $reason, $detail, $hint) = @_;
	my $collection = $question eq 'page' ? "later-$name" : $name;
	my $wrong = $question eq 'lenient' ? wrong_row($got, $name, $reason, $detail)
	  : wrong_failure($got, $state, $reason, $detail, $hint,
		$question =~ /^(listing|import)$/ ? qq(could not list the collections of foreign server "$server")
		  : qq(could not read collection "$collection" of foreign server "$server"));
	ok(!defined $wrong, "$server: the fault \"$name\" is told to a "
		  . ($question eq 'lenient' ? 'count with on_error null' : $question)) or diag $wrong;
}

# ---- faults of a remote that is there

foreach my $api (qw(qdrant directus))
{
	foreach my $fault (@faults)
	{
		my ($name, undef, $state, $reason, $detail, $hint, $asked) = @$fault;
		my @asked = @{ $asked // \@all };
		my @queries = map { sprintf($questions{$api}{$_}, "'$name'") } @asked;
		my $timeout = $name =~ /^slow/ ? "ALTER SERVER $api OPTIONS (ADD timeout_ms '700'); ALTER SERVER ${api}_list"
			  . " OPTIONS (ADD timeout_ms '700');" : '';
		my @got = attempt(\"$timeout ALTER SERVER ${api}_list OPTIONS (SET url '@{[$peer{$api}->url]}/$name')",
			@queries,
			$timeout
			? \"ALTER SERVER $api OPTIONS (DROP timeout_ms); ALTER SERVER ${api}_list OPTIONS (DROP timeout_ms)"
			: ());

		foreach my $i (0 .. $#asked)
		{
			check($api, $asked[$i] =~ /^(listing|import)$/ ? "${api}_list" : $api, $name, $asked[$i], $got[$i],
				of($api, $state), of($api, $reason), of($api, $detail), of($api, $hint));
		}
	}
}

# ---- remotes that are not there

foreach my $api (qw(qdrant directus))
{
	foreach my $where (sort keys %nowhere)
	{
		my (undef, $state, $reason, $detail, $hint) = @{ $nowhere{$where} };
		my @asked = grep { $_ ne 'page' } @all;
		my @got = attempt(map { sprintf($questions{$api}{$_},
			"'x'") =~ s/(?<!lenient\.)${api}(_list)?(?=[. ])|(?<=lenient\.)${api}/${api}_$where/r } @asked);
		check($api, "${api}_$where", 'x', $asked[$_], $got[$_], $state, $reason, $detail, $hint) for 0 .. $#asked;
	}
}
is(scalar($peer{refused}->connections), 0, 'nothing is connected for an origin that is not allowed');
is(scalar $tls->requests('/'), 0, 'nothing is sent where the certificate is for another name');
sql("ALTER SERVER qdrant_wrong_name OPTIONS (SET url 'https://other.test:$tls_port')");
unlike((attempt(q(SELECT points FROM qdrant_wrong_name.collections WHERE collection = 'x')))[0]{message}, qr/TLS/,
	'the peer with a certificate for another name passes TLS by that name');

# ---- a kept connection that the peer resets is no fault

foreach my $api (qw(qdrant directus))
{
	my $query = sprintf($questions{$api}{count}, q('reused'));
	my $number = $api eq 'qdrant' ? 'points' : 'items';
	my $three = "SELECT sum($number) AS count FROM $api.collections WHERE collection IN ('kept1', 'kept2', 'kept3')";
	my @got = map { $_->{rows}[0]{count} // "$_->{message}: $_->{detail}" } attempt($three, ($query) x 5);
	my $count = $api eq 'qdrant' ? 149 : 163;
	is_deeply(\@got, [ 3, ($count) x 5 ],
		"$api: a count is had though every kept connection is reset when it is used, on a new connection in the end");
	cmp_ok(scalar(grep { $_->{path} =~ /reused/ } $peer{$api}->requests), '>', 5,
		"$api: a count on a kept connection that was reset is asked for again");
}

# ---- ids that a key may not be able to hold

# A 500 is what Directus says of such an id, and of an outage: the difference is what it says of other questions then.
like((attempt(q(SELECT id FROM directus.items WHERE collection = 'outage' AND id IN ('1', 'b'))))[0]{message} // 'rows',
	qr/^could not read collection "outage"/, 'an outage is not taken for an id that cannot be');

$node->stop;
done_testing();
