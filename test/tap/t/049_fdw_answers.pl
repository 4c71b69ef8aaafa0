# Answers of remotes that are larger, odder or fewer than usual: pages that adapt
# to what they weigh, requests that are split, null characters, settings of the
# session, and loops of requests that end.
use strict;
use warnings;

use IU::Answers;
use IU::Canned;
use IU::Cluster;
use IU::Lines;
use IU::SQL;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $secret = 'key-in-front.half-of-it-behind';

# ---- the peers: a collection's name says how it behaves

my %rows = (
	heavy => sub { my ($i) = @_; { n => $i, text => 'x' x ($i == 150 ? 40_000 : 3_000) } },
	burden => sub { my ($i) = @_; { n => $i, text => 'x' x ($i == 150 ? 90_000 : 30) } },
	first => sub { my ($i) = @_; { n => $i, text => 'x' x ($i == 1 ? 90_000 : 30) } },
	light => sub { my ($i) = @_; { n => $i, text => 'x' x ($i > 300 ? 30 : 9_000) } },
	plain => sub { my ($i) = @_; { n => $i } });
my %size = (light => 1500, plain => 900);

sub rows_of
{
	my ($name, @ids) = @_;
	return map { { id => $_, row => $rows{$name}->($_) } } grep { $_ <= ($size{$name} // 300) } @ids;
}

sub point { return { id => $_[0]{id}, payload => $_[0]{row} } }

# Pages, with what conditions a strict mode allows.
sub scroll
{
	my ($name, $body, $strict) = @_;
	my ($ids) = grep { $_ } map { $_->{has_id} } @{ ($body->{filter} // {})->{must} // [] };
	my @all = grep { $_ >= ($body->{offset} // 1) } $ids ? sort { $a <=> $b } @$ids : 1 .. ($size{$name} // 300);
	my $conditions = scalar @{ ($body->{filter} // {})->{must} // [] };
	return qdrant_error(400, 'Bad request: Filter condition limit reached (2 > 1). Help: None')
		  if $strict eq 'conditions' && $conditions > 1;
	return qdrant_error(400, 'Bad request: Condition size limit reached (' . @$ids . ' > 4). Help: None')
		  if $strict eq 'size' && $ids && @$ids > 4 && $body->{offset};
	my @page = rows_of($name, splice @all, 0, $body->{limit});
	delete $_->{row} foreach $body->{with_payload} ? () : @page;
	return qdrant_result($json->encode({ points => [ map { point($_) } @page ], next_page_offset => $all[0] }));
}

my %odd = (
	nul => '{"points":[{"id":6,"payload":{"t":"as \\\\u0000 text"}},{"id":7,"payload":{"t":"a\u0000b","u":1}}],'
	  . '"next_page_offset":null}',
	half => '{"points":[{"id":6,"payload":{"t":"\\ud83d\\ude00 \\\\ud800"}},'
	  . '{"id":7,"payload":{"t":"a\\ud800b"}}],"next_page_offset":null}',
	settings => '{"points":[{"id":1,"payload":{"abbreviated":"2024-07-01 12:00 EST","x":"a<b/>",'
	  . '"pair":"(\\"{1,NULL}\\")","f":0.30000000000000004,"b":"ab","p":"1.50"}}],"next_page_offset":null}',
	times => '{"points":[{"id":1,"payload":{"at":"2024-07-01T12:00:00","day":"02/03/2024","span":"-1 2:03",'
	  . '"price":"1.50","ranges":["[2024-07-01 12:00,2024-07-01 13:00)"]}}],"next_page_offset":null}');

my $limited = 0;

sub qdrant
{
	my ($request) = @_;
	return qdrant_result('{"collections":[{"name":"plain"},{"name":"vanished"}]}')
		  if $request->{path} eq '/collections';
	return qdrant_result('{"aliases":[]}') if $request->{path} eq '/aliases';
	my ($name, $rest) = $request->{path} =~ m{^/collections/([^/?]+)(/[^?]*)?}
		  or return { status => 404, body => '{}' };
	my $body = $request->{body} eq '' ? {} : $json->decode($request->{body});
	my $ids = @{ $body->{ids} // [] };

	return qdrant_result($odd{$name}) if $odd{$name};
	return qdrant_error(404, "Not found: Collection `vanished` doesn't exist!") if $name eq 'vanished';
	return qdrant_result('{"status":"green","config":{"params":{}}}') unless $rest;
	return qdrant_error(400, "Bad request: Limit exceeded $request->{timeout} > 2 for \\\"timeout\\\". Help: None")
		  if $name eq 'brief' && ($request->{timeout} || 0) > 2;
	return { status => 200, body => "\x1f\x8b\x08\0\0\0\0\0", headers => ['Content-Encoding: gzip'] }
		  if $name eq 'gzip';
	return qdrant_error(500, q(Service internal error: 1 of 1 read operations failed: Timeout error: )
		  . q(Operation 'count' timed out after 1s)) if $name eq 'busy';
	return { status => 403, body => 'ExpiredSignature', type => 'text/plain' } if $name eq 'expired';
	return { status => 200, body => "{\"result\": bad $secret}" } if $name eq 'quotes';
	return { status => 200, body => '{"result": bad ' . $secret =~ s/-/\\-/gr . '}' } if $name eq 'quotes_escaped';
	return qdrant_result($json->encode({ points => [ { id => 1, payload => { n => 'x' x 85 . $secret } } ] }))
		  if $name eq 'quotes_late';
	return qdrant_result('{"points":[],"next_page_offset":' . (($body->{offset} // 0) + 1) . '}') if $name eq 'endless';
	return qdrant_result('{"count":300}') if $rest eq '/points/count';
	return qdrant_error(429, 'Rate limiting exceeded: Read rate limit exceeded: '
		  . 'request larger than rate limiter capacity') if $name eq 'rated' && $ids > 300;
	return qdrant_error(429, 'Rate limiting exceeded: Read rate limit exceeded: Operation requires 400 tokens but only '
		  . '200.0 were available. Retry after 1s') if $name eq 'rated' && $body->{ids}[0] == 601 && !$limited++;
	return { status => 413, body => '' } if $name eq 'narrow' && $ids > 100;
	my $strict = $name =~ s/^(conditions|size)_// ? $1 : '';
	my $data = $rows{$name} ? $name : 'plain';
	return scroll($data, $body, $strict) if $rest eq '/points/scroll';
	return qdrant_result($json->encode([ map { point($_) } rows_of($data, @{ $body->{ids} }) ]));
}

sub coded { return { status => 403, body => qq({"errors":[{"message":"Not so.","extensions":{"code":"$_[0]"}}]}) } }

sub directus
{
	my ($request) = @_;
	my ($path, $query) = split /\?/, $request->{path}, 2;
	my %of = map { s/%([0-9A-F]{2})/chr hex $1/ger } map { split /=/, $_, 2 } split /&/, $query // '';
	my $search = $request->{body} eq '' ? {} : $json->decode($request->{body})->{query};

	return coded('RESOURCE_RESTRICTED') if $path eq '/restricted/permissions/me';
	$path =~ s{^/restricted}{};
	return directus_data('{"' . join('":{"read":{"access":"full","fields":["*"]}},"', sort keys %rows, 'narrow')
		  . '":{"read":{"access":"full","fields":["*"]}}}') if $path eq '/permissions/me';
	return coded('RESOURCE_RESTRICTED') if $path eq '/items/restricted';
	return coded('LIMIT_EXCEEDED') if $path eq '/items/exceeded';
	return coded('COLLECTION_INACTIVE') if $path eq '/items/inactive';
	my ($name) = $path =~ m{^/items/(\w+)$} or return { status => 404, body => '{}' };
	my $filter = $search->{filter} // ($of{filter} ? $json->decode($of{filter}) : {});
	my @ids = map { $_ + 0 } @{ (($filter->{_or} // [])->[0] // {})->{id}{_in} // [] };
	return { status => 413, body => '' } if $name eq 'narrow' && @ids > 100;
	my $data = $rows{$name} ? $name : 'plain';
	my @all = rows_of($data, @ids ? sort { $a <=> $b } @ids : 1 .. ($size{$data} // 300));
	my @page = splice @{ [@all] }, $search->{offset} // $of{offset} // 0, $search->{limit} // $of{limit};
	my %fields = map { $_ => 1 }
	  @{ $search->{fields} // [ map { s/%2A/*/r } ($query // '') =~ /fields%5B%5D=([^&]+)/g ] };
	my $list = $json->encode([ map {
			my $row = { id => $_->{id}, %{ $_->{row} } };
			$fields{'*'} ? $row : { map { $_ => $row->{$_} } keys %fields };
		} @page ]);
	return { status => 200, body => qq({"meta":{"filter_count":@{[scalar @all]}},"data":$list}) };
}

my %peer = (qdrant => IU::Canned->start(\&qdrant, keep => 60), directus => IU::Canned->start(\&directus, keep => 60));
my $node = IU::Cluster->new_node('answers',
	'iu_core.databases' => '',
	'iu_core.max_response_size' => '64kB',
	'iu_core.allowed_origins' => join(', ', map { $_->url } values %peer),
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);

my %resource = (qdrant => 'points', directus => 'items');

sub table
{
	my ($api, $name, $columns, %options) = @_;
	return "CREATE FOREIGN TABLE $api.$name ($columns) SERVER $api OPTIONS (resource '$resource{$api}',"
	  . " collection '" . ($options{of} // $name) . "'" . ($options{more} // '') . ');';
}

sql('CREATE EXTENSION iu_core;' . join '', map {
		my $api = $_;
		"CREATE SERVER $api FOREIGN DATA WRAPPER ${api}_fdw OPTIONS (url '@{[$peer{$api}->url]}');"
		  . "CREATE USER MAPPING FOR postgres SERVER $api OPTIONS ("
		  . ($api eq 'qdrant' ? 'api_key' : 'token') . " '$secret'); CREATE SCHEMA $api;"
		  . join('', map { table($api, $_, 'id text, n integer, text text') } sort keys %rows)
		  . table($api, 'narrow', 'id text, n integer')
	} sort keys %peer);
# What is answered, and what was asked for it; without the question for aliases that precedes the pages of Qdrant.
sub asked
{
	my ($api, $query) = @_;
	my ($result, @asked) = $peer{$api}->asked(sub { ask($query) });
	return ($result, grep { $_->{path} ne '/aliases' } @asked);
}

# ---- pages adapt to what they weigh

foreach my $api (sort keys %peer)
{
	is(ask("SELECT count(text), sum(n), count(DISTINCT id) FROM $api.heavy"), '300|45150|300',
		"$api: a collection whose usual pages are larger than an answer may be is read whole");
	like(ask("SELECT count(text) FROM $api.burden"),
		pattern(
			qr/^ERROR:  54000: could not read collection "burden" .*: one row alone is larger than an answer may be\n/,
			qr/DETAIL:  The row has the id "150"\. An answer may be as large as iu_core.max_response_size, 64 kB\.\n/,
			qr/HINT:  Leave out the columns/),
		"$api: a row that alone is larger than an answer is an error that names it");
	like(ask("SELECT count(text) FROM $api.first"), qr/54000.*The row has the id "1"\./s,
		"$api: so is one at the beginning of the collection");
	is(ask("SELECT count(id) FROM $api.first"), 300, "$api: without the large column the rows are read");
	my ($got, @requests) = asked($api, "SELECT count(text) FROM $api.light");
	is($got, 1500, "$api: rows that become lighter are read whole");
	cmp_ok(scalar @requests, '<', 200, "$api: and then more of them at a time: " . @requests . ' requests');
	is(ask("ANALYZE $api.heavy; SELECT reltuples FROM pg_class WHERE oid = '$api.heavy'::regclass"), 300,
		"$api: ANALYZE reads them as well");
	is(ask("SELECT count(text) FROM $api.heavy WHERE id = ANY (ARRAY(SELECT generate_series(1, 300)::text))"), 300,
		"$api: rows that are named by id are asked for fewer at a time");
	like(ask("SELECT count(text) FROM $api.burden WHERE id IN ('149', '150', '151')"),
		qr/54000.*The row has the id "150"\./s, "$api: and the one that is too large is named");
	is(ask("SELECT count(n) FROM $api.narrow WHERE id = ANY (ARRAY(SELECT generate_series(1, 900)::text))"), 900,
		"$api: ids that are too many for a proxy on the way are asked for fewer at a time");
}

# ---- requests that a collection limits

sql(table('qdrant', "${_}_plain", 'id text, n integer, filter jsonb')) foreach qw(size conditions);
sql(table('qdrant', 'rated', 'id text, n integer'));
my $twelve = q(id = ANY (ARRAY(SELECT generate_series(1, 12)::text)) AND filter = '{"must": []}');
my ($got, @requests) = asked('qdrant',
	"SET statement_timeout = '60s'; ALTER FOREIGN TABLE qdrant.size_plain OPTIONS (ADD page_size '3');"
	  . "SELECT count(*), sum(n), count(DISTINCT n) FROM qdrant.size_plain WHERE $twelve");
is($got, '12|78|12', 'ids whose number is refused on the second page are asked for fewer at a time, each of them once');
cmp_ok(scalar @requests, '<', 12, 'and that comes to an end');
is(ask("SELECT count(*), sum(n) FROM qdrant.conditions_plain WHERE $twelve"), '12|78',
	'where a filter and ids are more conditions than are allowed, the ids are picked here');
is(ask('SELECT count(*), sum(n) FROM qdrant.rated WHERE id = ANY (ARRAY(SELECT generate_series(1, 800)::text))'),
	'800|320400', 'ids that are more than a rate limit ever allows are asked for fewer at a time');

($got, @requests) = asked('qdrant', 'SELECT count(*) FROM qdrant.plain');
is($requests[0]{timeout}, sql("SELECT extract(epoch FROM current_setting('iu_core.request_timeout')::interval)::int"),
	'Qdrant is told how long it may take: as long as a request may');
($got, @requests) = asked('qdrant', "ALTER SERVER qdrant OPTIONS (ADD timeout_ms '1500'); SELECT count(*) FROM"
	  . " qdrant.plain; SELECT count(n) FROM qdrant.plain; SELECT n FROM qdrant.plain WHERE id = '1'");
is_deeply([ map { $_->{timeout} } @requests ], [ 2, 2, 2 ], 'as long as timeout_ms says, in whole seconds');
($got, @requests) = asked('qdrant', "ALTER SERVER qdrant OPTIONS (DROP timeout_ms); SET statement_timeout = '20s';"
	  . ' SELECT count(*) FROM qdrant.plain');
ok($requests[0]{timeout} >= 1 && $requests[0]{timeout} <= 20, 'and no longer than the statement may run');
sql(table('qdrant', 'brief', 'id text, n integer') . "CREATE FOREIGN TABLE qdrant.all (collection text, points bigint)"
	  . " SERVER qdrant OPTIONS (resource 'collections')");
is(ask("SELECT count(*) FROM qdrant.brief; SELECT count(n) FROM qdrant.brief; SELECT points FROM qdrant.all WHERE"
	  . " collection = 'brief'"), "300\n900\n300", 'where the collection allows less time, as long as it allows');

is(ask('SELECT collection, points FROM qdrant.all'), 'plain|300',
	'a collection that is gone since it was listed does not fail the listing');
is(ask("CREATE FOREIGN TABLE qdrant.every (collection text, id text) SERVER qdrant OPTIONS (resource 'points');"
	  . ' SELECT collection, count(id) FROM qdrant.every GROUP BY 1'), 'plain|900', 'nor a reading of all of them');
like(ask("SELECT points FROM qdrant.all WHERE collection = 'vanished'"), qr/^ERROR:  HV00R/,
	'one that the query names is an error');

# ---- loops end

sql(table('qdrant', $_, 'id text, payload jsonb')) foreach qw(endless gzip busy expired nul);
($got, @requests) = asked('qdrant', "SET statement_timeout = '60s'; SELECT * FROM qdrant.endless");
like($got, qr/^ERROR:  HV000: .*the answer holds no points, and says that there are more/,
	'an empty page that names a next one is an error');
is(scalar @requests, 1, 'and is not followed');

# ---- what refusals mean

like(ask('SELECT * FROM qdrant.gzip'), pattern(qr/^ERROR:  HV000: .*the answer is compressed, which nobody asked for\n/,
	qr/DETAIL:  HTTP 200, Content-Encoding: gzip\.\nHINT:  .*proxies/), 'a compressed answer is called so');
like(ask('SELECT * FROM qdrant.busy'), pattern(qr/^ERROR:  HV000: .*the remote gave up for lack of time\n/,
	qr/DETAIL:  HTTP 500: .*timed out after 1s\nHINT:  .*timeout_ms/), 'a time-out inside Qdrant is called so');
like(ask('SELECT * FROM qdrant.expired'), pattern(qr/^ERROR:  28000: .*the remote refused the credentials\n/,
	qr/DETAIL:  HTTP 403: ExpiredSignature\nHINT:  The token in the user mapping has expired/),
	'a token that has expired is one of credentials, and not of rights');
sql(table('directus', $_, 'id text, item jsonb')) foreach qw(restricted exceeded inactive);
foreach ([ restricted => "Directus's licence does not allow it" ],
	[ exceeded => "a limit of Directus's licence is exceeded" ],
	[ inactive => 'the collection is inactive in Directus' ])
{
	my ($name, $reason) = @$_;
	like(ask("SELECT * FROM directus.$name"),
		qr/^ERROR:  53400: could not read collection "$name" .*: $reason\n.*HINT:/s,
		"a refusal by Directus's licence is called so: $name");
}

like(ask("CREATE SERVER restricted FOREIGN DATA WRAPPER directus_fdw"
	  . " OPTIONS (url '@{[$peer{directus}->url]}/restricted');"
	  . "CREATE FOREIGN TABLE whole (id text, n integer)"
	  . " SERVER restricted OPTIONS (resource 'items', collection 'plain');"
	  . 'SELECT count(n) FROM whole'), qr/^ERROR:  53400: .*licence does not allow it/,
	'nor is it overlooked where it is asked how much the token sees');

# ---- secrets that a remote quotes

sql(table('qdrant', $_, 'id text, payload jsonb')) foreach qw(quotes quotes_escaped);
sql(table('qdrant', 'quotes_late', 'id text, n integer'));
my $part = qr/front|half/;
unlike(ask("SELECT * FROM qdrant.$_"), $part, "no part of a secret that the remote quotes is shown: $_")
	  foreach qw(quotes quotes_escaped quotes_late);
like(ask('SELECT * FROM qdrant.quotes_late'), qr/HV004.*left out, as it quotes the secret/s, 'and the error says why');

# ---- null characters

sql(table('qdrant', 'nul_t', 'id text, t text', of => 'nul') . table('qdrant', 'nul_replaced', 'id text, t text',
	of => 'nul', more => q(, null_character 'replace'))
	  . table('qdrant', 'nul_removed', 'id text, payload jsonb', of => 'nul', more => q(, null_character 'remove')));
foreach my $name (qw(nul nul_t))
{
	like(ask("SELECT * FROM qdrant.$name"),
		pattern(qr/^ERROR:  HV004: foreign table "$name" cannot hold what the remote has\n/,
			qr/DETAIL:  Collection "nul", id "7": a text holds the null character \(\\u0000\)/,
			qr/[^\n]*\nHINT:  .*"null_character"/),
		"a null character is an error that names the row: $name");
}
is(ask('SELECT id, t FROM qdrant.nul_replaced ORDER BY 1'), "6|as \\u0000 text\n7|a\x{ef}\x{bf}\x{bd}b",
	'it is replaced where an option says so');
is(ask('SELECT payload FROM qdrant.nul_removed ORDER BY id'), qq({"t": "as \\\\u0000 text"}\n{"t": "ab", "u": 1}),
	'it is removed where an option says so');
sql(table('qdrant', 'half', 'id text, t text') . table('qdrant', 'half_replaced', 'id text, t text', of => 'half',
	more => q(, null_character 'replace')));
like(ask('SELECT * FROM qdrant.half'), qr/^ERROR:  HV004: .*id "7": a text holds .*half of a surrogate pair/s,
	'half of a surrogate pair is such an error, too');
is(ask('SELECT t FROM qdrant.half_replaced ORDER BY id'),
	"\x{f0}\x{9f}\x{98}\x{80} \\ud800\na\x{ef}\x{bf}\x{bd}b", 'and is replaced by the same option');
like(ask(q(ALTER FOREIGN TABLE qdrant.nul OPTIONS (ADD null_character 'keep'))), qr/HV024.*error, replace, remove/s,
	'another value of the option is refused');

# ---- settings of the session

my $columns = 'id text, at timestamptz, day date, span interval, ranges tstzrange[], price money';
sql(table('qdrant', 'times', $columns));
my $show = q(RESET ALL; SET TimeZone = 'UTC'; SELECT at, day, span, ranges, price FROM t);
my @got = map { ask("BEGIN; $_; CREATE TEMP TABLE t AS SELECT * FROM qdrant.times; $show; ROLLBACK") } (
	q(SET TimeZone = 'UTC'), q(SET TimeZone = 'America/New_York'),
	q(SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY'),
	q(SET IntervalStyle = 'sql_standard'), q(SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601'));
is($got[0] =~ s/\|[^|]*$//r,
	'2024-07-01 12:00:00+00|2024-02-03|-1 days +02:03:00|{"[\"2024-07-01 12:00:00+00\",\"2024-07-01 13:00:00+00\")"}',
	'a time without a zone is one of UTC');
is_deeply([ @got[ 1 .. $#got ] ], [ ($got[0]) x $#got ], 'no value depends on the settings of the session');
# Each of those that a value can be seen to depend on; the domains ask what their values look like as text.
sql(q(CREATE TYPE pair AS (a integer[]);
	CREATE DOMAIN whole_float AS float8 CHECK (VALUE::text = '0.30000000000000004');
	CREATE DOMAIN hex AS bytea CHECK (VALUE::text = '\x6162');
	CREATE DOMAIN price AS money CHECK (current_setting('lc_monetary') = 'C');)
	  . table('qdrant', 'settings', 'abbreviated timestamptz, x xml, pair pair, f whole_float, b hex, p price'));
my %value = (
	"timezone_abbreviations = 'Australia'" => [ "abbreviated AT TIME ZONE 'UTC'", '2024-07-01 17:00:00' ],
	'xmloption = document' => [ 'x', 'a<b/>' ], 'array_nulls = off' => [ '(pair).a', '{1,NULL}' ],
	"lc_monetary = 'POSIX'" => [ 'p::money::numeric', '1.50' ],
	'extra_float_digits = 0' => [ 'f = 0.30000000000000004::float8', 't' ],
	"bytea_output = 'escape'" => [ "b = 'ab'::bytea", 't' ]);
my $no_xml = ask(q(SELECT xml '<a/>')) =~ /unsupported XML feature/;
foreach my $setting (sort keys %value)
{
  SKIP:
	{
		skip 'the server was built without XML', 1 if $no_xml && $setting =~ /xml/;
		is(ask("SET $setting; SELECT $value{$setting}[0] FROM qdrant.settings"), $value{$setting}[1],
			"a value is read as usual in a session with $setting");
	}
}
is(ask(q(SET TimeZone = 'Asia/Tokyo'; SELECT at FROM qdrant.times; SHOW TimeZone)),
	"2024-07-01 21:00:00+09\nAsia/Tokyo", 'the settings of the session are as they were');

# ---- counts, and columns that show nothing

($got, @requests) = asked('qdrant', 'SELECT count(1) FROM qdrant.plain');
is_deeply([ $got, map { $_->{path} =~ s/\?.*//r } @requests ], [ 300, '/collections/plain/points/count' ],
	'count(1) is one request, as count(*) is');
($got, @requests) = asked('qdrant', q(SELECT count(p.n) FROM (VALUES ('1'), ('2'), ('3'), ('4'), ('5')) v (id)
	  JOIN qdrant.plain p USING (id)));
is_deeply([ $got, map { $_->{path} } @requests ], [ 5, ('/collections/plain/points') x 5 ],
	'a join of a few rows looks them up, though ANALYZE has not read the table');
like(ask(q(CREATE FOREIGN TABLE made (id text, g text GENERATED ALWAYS AS (id || '!') STORED) SERVER qdrant
	  OPTIONS (resource 'points', collection 'plain'); SELECT * FROM made)),
	qr/^ERROR:  HV007: column "g" of foreign table "made" is generated/,
	'a generated column is an error, and not NULL');

$node->stop;
done_testing();
