# Directus through the wrapper: the real one, or with PEERS=light the stand-in.
# What Directus itself says is looked at first, as it is what a reader of counts
# must know; where the real one cannot be made to answer so, a stand-in of this
# test's own ("odd") does, and where only the real one can, PEERS=light leaves
# it out.
use strict;
use warnings;

use Cwd qw(abs_path);
use IPC::Run qw(run);
use IU::Cluster;
use IU::Directus;
use IU::Peer;
use IU::SQL;
use IU::Wait;
use JSON::PP qw(decode_json encode_json);
use PostgreSQL::Test::Cluster;
use IU::Lines;
use PostgreSQL::Test::Utils;
use Test::More;

my ($url, $data, $state) = @ENV{qw(DIRECTUS_URL DIRECTUS_DATA DIRECTUS_STATE)};
plan skip_all => 'no Directus' unless $url && $data;
my $real = defined $state;
my $directus_peer = abs_path('peers/directus');    # tests run in test/
my %token = map { $_ => "iu-$_-token" } qw(admin reader limited fields nobody);

# ---- peers

# Others on the same database, with settings that only a real one has; started at once.
my %settings = (
	most     => [ 'QUERY_LIMIT_MAX=50', 'ACCESS_TOKEN_TTL=1s' ],
	limiter  => [ 'RATE_LIMITER_ENABLED=true', 'RATE_LIMITER_POINTS=3', 'RATE_LIMITER_DURATION=1' ],
	pressure => [ 'PRESSURE_LIMITER_ENABLED=true', 'PRESSURE_LIMITER_MAX_MEMORY_RSS=1',
	'PRESSURE_LIMITER_RETRY_AFTER=7' ],
	down     => ['DB_USER=directus_down']);
my (%other, @peers);

sub database
{
	my ($query, $user) = @_;
	my ($out, $err) = ('', '');
	run([ 'psql', '-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-h', $ENV{DIRECTUS_PGHOST}, '-U', $user // 'directus',
		'-d', 'directus', '-c', $query ], '>', \$out, '2>', \$err)
	  or die "$query: $err";
	chomp $out;
	return $out;
}
END { local $?; system($directus_peer, 'stop', "$state/042") if $real }
if ($real)
{
	database('CREATE ROLE directus_down LOGIN IN ROLE directus', 'postgres');
	my %starting;
	foreach my $name (sort keys %settings)
	{
		open($starting{$name}, '-|', $directus_peer, 'again', $state, "042/$name", @{ $settings{$name} }) or die $!;
	}
	foreach my $name (sort keys %starting)
	{
		$other{$name} = readline($starting{$name}) // die "Directus with @{ $settings{$name} } did not start\n";
		chomp $other{$name};
		close $starting{$name};
	}
}
else
{
	push @peers, IU::Peer->start('directus', '--data', $data, '--query-limit-max', 50);
	$other{most} = $peers[0]->url;
}
my $odd = IU::Peer->start('directus', '--data', $data, '--licensed');
$other{odd} = $odd->url;
$other{nobody_home} = 'http://127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();

# As it is, without the wrapper: status and body.
sub raw
{
	my ($method, $path, $as, $value, $base) = @_;
	my $answer = IU::Directus->new($base // $url, $as)->request($method, $path, $value);
	return wantarray ? ("$answer->{status} $answer->{content}", $answer) : "$answer->{status} $answer->{content}";
}

# ---- the database

my $node = IU::Cluster->new_node('directus', 'iu_core.databases' => '', 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.allowed_origins' => join(', ', $url, values %other));
my @wrong;

talk_to($node);

# A line of EXPLAIN ANALYZE.
sub figure
{
	my ($name, $query) = @_;
	return ask("EXPLAIN (ANALYZE, VERBOSE, COSTS off, TIMING off, SUMMARY off) $query") =~ /^ *Remote $name: (.*)$/m
		  ? $1 : undef;
}

$ENV{PGCLIENTENCODING} = 'UTF8';
$node->safe_psql('postgres', 'CREATE EXTENSION iu_core');

# A server with the tables of the API in a schema of its name.
sub server
{
	my ($name, $at, $as, $more) = @_;
	$more = defined $more ? ", $more" : '';
	$node->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER directus_fdw OPTIONS (url '$at'$more);"
		  . (defined $as ? "CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (token '$as');" : '')
		  . "CREATE SCHEMA $name; IMPORT FOREIGN SCHEMA api FROM SERVER $name INTO $name");
	return;
}
# Without a licence Directus 12 has no permissions with rules, or for some fields: there the stand-in has them.
my $narrow = IU::Directus::is_since(12) ? $odd->url : $url;
server($_, $url, $token{$_}) foreach qw(reader admin nobody);
server($_, $narrow, $token{$_}) foreach qw(limited fields);
server('partly', $narrow, $token{limited}, q(partial 'count'));
server('anonymous', $url);
server('wrong', $url, 'no-such-token');
server($_, $other{$_}, $token{reader}) foreach grep { $_ ne 'limiter' } keys %other;
server('limiter', $other{limiter}, $token{reader}, q(partial 'count')) if $real;
ask(<<'SQL');
CREATE FOREIGN TABLE documents (id text, title text, category text, item jsonb, filter jsonb) SERVER reader
  OPTIONS (resource 'items', collection 'iu_documents');
CREATE FOREIGN TABLE codes (id text, code text, meaning text, filter jsonb) SERVER reader
  OPTIONS (resource 'items', collection 'iu_codes', id_field 'code');
CREATE FOREIGN TABLE lenient (collection text, items bigint, access text, error text) SERVER limited
  OPTIONS (resource 'collections', on_error 'null');
SQL

# a connection that Directus closes meanwhile: looked at last
my $idle_out = '';
my $idle_err = '';
my $idle = IPC::Run::start([ 'psql', '-X', '-q', '-At', '-d', $node->connstr('postgres'), '-c',
	q(SELECT items FROM reader.collections WHERE collection = 'iu_documents'),
		'-c', 'SELECT pg_sleep(6)', '-c', q(SELECT items FROM reader.collections WHERE collection = 'iu_documents') ],
		'<', \undef, '>', \$idle_out, '2>', \$idle_err);

sub items
{
	my ($schema, $collection) = @_;
	return ask("SELECT items FROM $schema.collections WHERE collection = '$collection'");
}
sub total
{
	my ($schema, $collection, $and) = @_;
	return ask("SELECT count(*) FROM $schema.items WHERE collection = '$collection'"
		  . (defined $and ? " AND $and" : ''));
}
sub filtered { my ($schema, $collection, $filter) = @_; return total($schema, $collection, "filter = '$filter'") }

# What the wrapper asks of the odd one, and what it makes of the answer.
sub odd_count
{
	my ($body) = @_;
	$odd->fault({ path => '/items/iu_documents', status => 200, body => $body,
		headers => { 'content-type' => 'application/json' } });
	my @answers = (items('odd', 'iu_documents'), total('odd', 'iu_documents'));
	$odd->heal;
	return @answers;
}
my $no_count = pattern(qr/^ERROR:  HV000: could not read collection "iu_documents" of foreign server "odd":/,
		qr/ the answer holds no count\nDETAIL:  HTTP 200/);

note 'what a reader of counts must know';
like(raw('GET', '/items/iu_documents?aggregate[count]=*', $token{reader}), qr/"count":"163"/,
	'Directus on PostgreSQL gives a count as a string');
is_deeply([ items('reader', 'iu_documents'), total('reader', 'iu_documents') ], [ 163, 163 ],
	'a count as a string is taken');
is_deeply([ odd_count('{"data":[{"count":163}]}') ], [ 163, 163 ], 'a count as a number is taken');
like(raw('GET', '/items/iu_documents?aggregate[count]=id', $token{reader}), qr/\{"count":\{"id":"163"\}\}/,
	'Directus gives a count of a field in another shape');
like($_, $no_count, 'a count of a field is not taken for a count of all')
	  foreach odd_count('{"data":[{"count":{"id":"163"}}]}');
my $meta = decode_json((raw('GET',
	'/items/iu_documents?limit=0&meta=total_count,filter_count&filter={"category":{"_eq":"alpha"}}',
	$token{reader}))[1]{content})->{meta};
is_deeply($meta, { total_count => 163, filter_count => 40 }, 'Directus gives counts in meta');
is(filtered('reader', 'iu_documents', '{"category":{"_eq":"alpha"}}'), 40, 'a count with a filter is that of meta');
like(raw('GET', '/items/iu_documents?aggregate[countAll]=*', $token{reader}), qr/^200 \{"data":\[\{\}\]\}/,
	'Directus can answer 200 without a count');
like($_, $no_count, 'an answer without a count is an error')
	  foreach map { odd_count($_) } '{"data":[{}]}', '{"data":[]}', '{"data":[{},{}]}', '{"data":{}}',
	'{"meta":{},"data":[]}';
is_deeply([ items('reader', 'iu_empty'), total('reader', 'iu_empty'),
	filtered('reader', 'iu_documents', '{"id":{"_lt":0}}') ], [ 0, 0, 0 ], 'a collection without items counts 0');
is(ask(q(SELECT collection, count(*) FROM reader.items WHERE collection IN ('iu_empty', 'iu_documents')
	  GROUP BY collection)), 'iu_documents|163', 'a collection without items makes no group');

my $forbidden = pattern(qr/^ERROR:  42501: could not read collection ".*": forbidden, or no such collection/,
		qr/\nDETAIL: .*\nHINT:  Directus does not tell the two apart/);
like($_, $forbidden, 'a collection that is forbidden and one that is not there are the same error')
	  foreach items('reader', 'iu_nosuch'), items('reader', 'iu_secret'), items('admin', 'iu_nosuch'),
	total('reader', 'iu_secret'), total('nobody', 'iu_documents');
like(filtered('reader', 'iu_documents', '{"nosuch":{"_eq":1}}'),
	qr/42501: .*a field is forbidden, or there is none of this name/,
	'a field that is forbidden and one that is not there are the same error');
like(ask(q(SELECT id FROM reader.items WHERE collection = 'iu_codes')), qr/42501: .*HINT:.*table option "id_field"/s,
	'a collection whose key is not called id is an error that names option id_field');
like(items('anonymous', 'iu_documents'), qr/^ERROR:  42501: .*HINT:  Nothing was sent to identify the user/s,
	'without a token the error says that nothing was sent to identify the user');
like(items('wrong', 'iu_documents'), qr/^ERROR:  28000: .*refused the credentials.*Invalid user credentials/s,
	'a wrong token is an error of credentials');
SKIP:
{
	skip 'needs a real Directus', 1 unless $real;
	my $login = decode_json((raw('POST', '/auth/login', undef,
		{ email => 'admin@example.com', password => 'iu-admin-password' },
		$other{most}))[1]{content})->{data}{access_token};
	wait_for { raw('GET', '/items/iu_documents?limit=0', $login, undef, $other{most}) =~ /^401/ }
		  or die "the token does not expire\n";
	server('expired', $other{most}, $login);
	like(items('expired', 'iu_documents'), qr/^ERROR:  28000: .*Token expired/s,
		'a token that has expired is an error of credentials');
}

like(raw('GET', '/items/iu_documents?limit=0&meta=total_count', $token{limited}, undef, $narrow), qr/"total_count":40/,
	'Directus lowers even the total count where a rule narrows what the token sees');
my $part = pattern(qr/^ERROR:  42501: could not read collection "iu_documents" of foreign server "limited":/s,
		qr/ the token may see only a part of it\n.*HINT:  Use a token .*option "partial" 'count'/s);
like($_, $part, 'a count of what a rule narrows is not passed off as a total')
	  foreach items('limited', 'iu_documents'), total('limited', 'iu_documents'),
  filtered('limited', 'iu_documents', '{"id":{"_gt":0}}'),
ask(q(SELECT count(*) FROM limited.items WHERE collection = 'iu_documents' AND id > '0')),
  ask(q(SELECT 1 FROM limited.items WHERE collection = 'iu_documents' AND id = '999'));
is(ask(q(SELECT access FROM limited.collections WHERE collection = 'iu_documents')), 'partial',
	'column access says that the token sees a part');
is_deeply([ items('partly', 'iu_documents'), total('partly', 'iu_documents'),
	total('partly', 'iu_documents', q(id > '')), filtered('partly', 'iu_documents', '{"id":{"_gt":0}}') ],
	[ 40, 40, 40, 40 ], 'with partial count a count of the part is given');
is(figure('Requests', q(SELECT count(*) FROM partly.items WHERE collection = 'iu_documents')), 1,
	'with partial count a count is one request');
is(ask(q(SELECT collection, items, error FROM lenient WHERE collection IN ('iu_documents'))),
	'iu_documents||the token may see only a part of it: A rule in the permissions of its policies narrows what it'
	  . ' reads, and what it counts.', 'with on_error null a part has no count, and says why');
is(ask(q(SELECT collection, access FROM fields.collections)
	  . q( WHERE collection IN ('iu_documents', 'iu_empty') ORDER BY 1)),
	"iu_documents|fields\niu_empty|none", 'column access says that the token sees some fields, or none');
is(ask(q(SELECT collection, access FROM admin.collections WHERE collection IN ('iu_documents', 'directus_users')
	  ORDER BY 1)), "directus_users|full\niu_documents|full",
	'column access says that an administrator sees everything');
is_deeply([ items('fields', 'iu_documents'), total('fields', 'iu_documents') ], [ 163, 163 ],
	'who sees some fields of every item counts every item');
is(ask(q(SELECT DISTINCT jsonb_object_keys(item) k FROM fields.items WHERE collection = 'iu_documents' ORDER BY 1)),
	"id\ntitle", 'the item of who sees some fields has those');
ask(q(CREATE FOREIGN TABLE hidden_field (id text, category text) SERVER fields OPTIONS (resource 'items', collection
	  'iu_documents')));
like(ask('SELECT category FROM hidden_field'), qr/42501: .*a field is forbidden/,
	'a column of a forbidden field is an error, and not NULL');
SKIP:
{
	skip 'needs Directus 12', 3 unless IU::Directus::is_since(12);
	my $rule = { collection => 'iu_empty', action => 'read', permissions => { id => { _gt => 1 } }, fields => ['*'],
		policy => decode_json((raw('GET', '/policies?limit=1', $token{admin}))[1]{content})->{data}[0]{id} };
	like(raw('POST', '/permissions', $token{admin}, $rule), qr/^403 .*"code":"RESOURCE_RESTRICTED"/,
		'Directus 12 without a licence makes no permission with a rule');
	like(raw('GET', '/items/iu_documents?limit=1', $token{$_}), qr/^403 .*"code":"FORBIDDEN"/,
		"Directus 12 without a licence gives nothing for a permission from before that narrows: $_")
	  foreach qw(limited fields);
}
$odd->fault({ path => '/permissions/me', status => 503, headers => { 'retry-after' => 9 } });
like(items('odd', 'iu_documents'),
	pattern(qr/^ERROR:  HV000: .*could not be found out whether the token sees all of it/,
		qr/\nDETAIL:  GET \/permissions\/me: HTTP 503/), 'without a known access there is no count of the collection');
like(total('odd', 'iu_documents'), qr/^ERROR:  HV00N: .*HINT:  Try again in 9 s/s,
	'without a known access there is no count of its items');
$odd->heal;
$odd->fault({ path => '/permissions/me', action => 'close' });
like(items('odd', 'iu_documents'), qr/^ERROR:  HV000: .*could not be found out.*no answer/s,
	'without an answer about the access there is no count');
$odd->heal;
$odd->fault({ path => '/permissions/me', status => 404 });
is_deeply([ ask(q(SELECT items, access FROM odd.collections WHERE collection = 'iu_documents')),
	total('odd', 'iu_documents') ], [ '163|', 163 ],
	'a remote that has no answer about the access counts, and shows none');
$odd->heal;

like(raw('GET', '/items/directus_users?limit=1', $token{admin}), qr/^403/,
	'Directus does not serve system collections below /items');
my $users = () = raw('GET', '/users?limit=-1&fields=id', $token{admin}) =~ /"id"/g;
is_deeply([ items('admin', 'directus_users'), total('admin', 'directus_users'),
	ask(q(SELECT count(*) FROM admin.items WHERE collection = 'directus_users' AND item ? 'email')) ], [ ($users) x 3 ],
	'users are counted and read by an endpoint of their own');
is_deeply([ map { items('admin', "directus_$_") =~ /^\d+$/ } qw(files roles) ], [ 1, 1 ],
	'files and roles are counted by endpoints of their own');
like(items('admin', 'directus_permissions'), qr/Directus does not count this system collection/,
	'a system collection that cannot be counted is an error');
is(ask('SELECT count(*) FROM (SELECT title FROM documents GROUP BY title) x'), 163,
	'all of 163 groups are read, more than the default limit of Directus');
is(ask(q(SELECT coalesce(category, '-'), count(*) FROM documents GROUP BY 1 ORDER BY 1)),
	"-|41\nalpha|40\nbeta|41\ngamma|41", 'items are grouped by a field');

like(raw('GET', '/items/iu_ints?limit=51', $token{reader}, undef, $other{most}),
	qr/^400 .*must be less than or equal to 50/, 'Directus refuses a page larger than its limit');
is(scalar(() = raw('GET', '/items/iu_ints?limit=-1&fields=id', $token{reader}, undef, $other{most}) =~ /"id"/g), 50,
	'Directus without a limit cuts at its limit in silence');
is(ask(q(SELECT count(id), count(DISTINCT id), min(id::int), max(id::int), sum((item ->> 'n')::int) FROM most.items
	  WHERE collection = 'iu_ints')), '1234|1234|1|1234|' . (eval { my $s = 0; $s += $_ % 7 foreach 1 .. 1234; $s }),
	'every item is read of a Directus with a limit');
is(figure('Retries', q(SELECT id FROM most.items WHERE collection = 'iu_ints')), 1,
	'a Directus with a limit refuses one request');
is(ask(q(SELECT count(*) FROM (SELECT id FROM most.items WHERE collection = 'iu_ints' AND id = ANY (ARRAY(SELECT
	  n::text FROM generate_series(1, 3000) n))) x)), 1234, 'items are looked up by id in a Directus with a limit');

is(ask(q(SELECT id FROM reader.items WHERE collection = 'iu_ints' AND id IN ('1', 'abc', '99999999999',
	  '99999999999999999999', '1.5', '07', '') ORDER BY 1)), 1,
	'of several ids those that an integer key cannot be are not there');
is(ask(q(SELECT id FROM reader.items WHERE collection = 'iu_ints' AND id = 'abc')), '',
	'one id that an integer key cannot be is not there');
is(ask(q(SELECT id FROM reader.items WHERE collection = 'iu_bigs' AND id IN ('9007199254740993', 'abc',
	  '99999999999999999999'))), '9007199254740993', 'of several ids those that a bigint key cannot be are not there');
is(ask(q(SELECT id FROM reader.items WHERE collection = 'iu_uuids' AND id IN ('00000000-0000-4000-8000-00000000000a',
	  'notuuid', '7', '00000000-0000-4000-8000-00000000000A'))), '00000000-0000-4000-8000-00000000000a',
	'of several ids those that a uuid key cannot be are not there');
is(ask(q(SELECT id FROM reader.items WHERE collection = 'iu_empty' AND id = 'abc')), '',
	'an id is not there where there is no key to look at');
like(filtered('reader', 'iu_ints', '{"n":{"_eq":"abc"}}'),
	qr/^ERROR:  HV000: .*did not accept the query.*HTTP 400: .*Invalid numeric value/s,
	'a filter whose value does not fit its field is an error');
like(filtered('reader', 'iu_uuids', '{"id":{"_eq":"notuuid"}}'),
	qr/^ERROR:  HV000: .*HTTP 500.*HINT:  .*a value in a filter does not fit its field/s,
	'a filter that Directus answers with 500 is an error whose hint says that a value may not fit');
like(ask(q(SELECT id FROM reader.items WHERE collection = 'iu_uuids' AND id = '7'
	  AND filter = '{"id":{"_eq":"notuuid"}}')), qr/HTTP 500/,
	'an id that cannot be is no excuse for a filter that does not fit');
$odd->forget;
$odd->fault({ path => '/items/iu_documents', status => 500, body => '{}' });
like(total('odd', 'iu_documents'), qr/HTTP 500/, 'an answer of 500 is an error');
is(scalar($odd->requests('/items/iu_documents')), 1, 'a request that is answered with 500 is not made again');
like(ask(q(SELECT id FROM odd.items WHERE collection = 'iu_documents' AND id IN ('1', 'abc'))), qr/HTTP 500/,
	'an answer of 500 stays an error where no id is to blame');
$odd->heal;

SKIP:
{
	skip 'needs a real Directus', 6 unless $real;
	# until a 429 of the last half second is followed by one for the wrapper
	my (@told, $zero);
	wait_for
	{
		my (undef, $answer) = raw('GET', '/items/iu_documents?limit=0', $token{reader}, undef, $other{limiter});
		return 0 unless $answer->{status} == 429 && $answer->{headers}{'retry-after'} eq '0';
		$zero = 1;
		my $error = total('limiter', 'iu_documents');
		push @told, $error unless $error =~ /^\d+$/;
		return scalar @told;
	};
	ok($zero, 'Directus limits the rate with Retry-After 0 at times');
	is_deeply([ grep { !/^ERROR:  53400: .*rate limit is reached.*HINT:  Try again in 1 s/s } @told ], [],
		'a rate limit with Retry-After 0 is told as 1 s');
	like(items('pressure', 'iu_documents'), qr/^ERROR:  HV00N: .*HTTP 503/s,
		'an overload of Directus is told as not available');
	like(total('pressure', 'iu_documents'), qr/^ERROR:  HV00N: .*HTTP 503.*HINT:  Try again in 7 s/s,
		'an overload of Directus says when to try again');

	is(items('down', 'iu_documents'), 163, 'Directus counts while its database is up');
	database(q(ALTER ROLE directus_down NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		  WHERE usename = 'directus_down'), 'postgres');
	like(items('down', 'iu_documents'), qr/^ERROR:  HV000: .*HTTP 50[03].*/s,
		'Directus is an error while its database is down')
		  or diag(raw('GET', '/items/iu_documents?limit=0', $token{reader}, undef, $other{down}));
	like(raw('GET', '/server/ping', undef, undef, $other{down}), qr/^200 pong/,
		'Directus answers a ping while its database is down');
	database('ALTER ROLE directus_down LOGIN', 'postgres');
	wait_for { items('down', 'iu_documents') eq '163' };
	is(items('down', 'iu_documents'), 163, 'Directus counts when its database is up again');
}
like(items('nobody_home', 'iu_documents'), qr/^ERROR:  HV00N: .*no connection/,
	'a Directus that does not listen yet is told as no connection');

$odd->forget;
is_deeply([ items('odd', 'iu_documents'), total('odd', 'iu_ints', q(id > '')),
	ask(q(SELECT count(*) FROM odd.items WHERE collection = 'iu_ints' AND id = '7')) ], [ 163, 1234, 1 ],
	'a count, a count of a range and a look-up are answered');
my @asked = $odd->requests;
is_deeply([ grep { $_->{path} =~ m{^/server} } @asked ], [], '/server/health is asked by nobody');
like(raw('GET', '/items/iu_documents?filter=' . 'x' x 17000, $token{reader}), qr/^431 $/,
	'Directus refuses a long address without a word');
my $many = '{"_or":[' . join(',', map { qq({"id":{"_eq":$_}}) } 1 .. 1000) . ']}';
is_deeply([ filtered('reader', 'iu_documents', $many), ask("SELECT count(title) FROM documents WHERE filter = '$many'"),
	length($many) > 16384 ], [ 163, 163, 1 ], 'a long filter goes by SEARCH');
is(filtered('reader', 'iu_documents', '{"title":{"_in":["Document 1","' . 'x' x $_ . '"]}}'), 1,
	"a filter of about the length from which SEARCH is used selects the same: $_") foreach 7000, 7300, 7600, 7900, 8200;
like(raw('SEARCH', '/items/iu_documents', $token{reader}, { aggregate => { count => '*' } }),
	qr/^400 .*INVALID_PAYLOAD/, 'Directus wants the query of SEARCH wrapped');
$odd->forget;
filtered('odd', 'iu_documents', $many);
is_deeply([ map { join ',', sort keys %{ decode_json($_->{body}) } } grep { $_->{method} eq 'SEARCH' } $odd->requests ],
	['query'], 'the query of SEARCH is wrapped');
SKIP:
{
	skip 'needs a real Directus', 1 unless $real;
	like(filtered('reader', 'iu_documents', '{"title":{"_eq":"' . 'x' x 1100000 . '"}}'),
		qr/^ERROR:  HV000: .*HTTP 400: .*too large/s, 'a filter larger than Directus takes is an error');
}
is(ask(q(SELECT count(*), count(DISTINCT id) FROM reader.items WHERE collection = 'iu_uuids' AND id = ANY
	  (ARRAY(SELECT '00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0') FROM generate_series(101, 2600) n)))),
	'2500|2500', '2,500 ids are looked up');
is(figure('Requests', q(SELECT id FROM reader.items WHERE collection = 'iu_uuids' AND id = ANY (ARRAY(SELECT
	  '00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0') FROM generate_series(101, 2600) n)))), 4,
	'2,500 ids take three requests, beside that for the access');
is(ask(q(SELECT count(*) FROM reader.items WHERE collection = 'iu_ints' AND id = ANY (ARRAY(SELECT n::text
	  FROM generate_series(1, 70000) n)))), 1234, '70,000 ids are looked up');
$odd->forget;
ask(q(SELECT id FROM odd.items WHERE collection = 'iu_ints' AND id = ANY (ARRAY(SELECT n::text FROM generate_series(1,
	  2500) n))));
is_deeply([ sort { $a <=> $b } map { scalar(
	my @ids = "$_->{query}$_->{body}" =~ /(?:"|%22)\d+(?="|%22)/g) } $odd->requests('/items/iu_ints') ],
	[ 500, 1000, 1000 ], 'no request has more than 1,000 ids');
my $deep = '{"id":{"_eq":7}}';
$deep = qq({"_and":[$deep]}) foreach 1 .. 12;
is(filtered('reader', 'iu_documents', $deep), 1, 'a filter nested 12 levels deep goes through');

note 'typed tables';
ask(q(CREATE SCHEMA data; IMPORT FOREIGN SCHEMA data LIMIT TO (iu_types, iu_codes, iu_bigs, iu_ints) FROM
	  SERVER admin INTO data));
is(ask(q(SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
	  WHERE attrelid = 'data.iu_types'::regclass AND attnum > 0)),
	'id text, i2 integer, i4 integer, i8 bigint, num numeric, r4 real, r8 double precision, flag boolean, s text,'
	  . ' t text, u uuid, ts timestamp without time zone, '
	  . 'tz timestamp with time zone, d date, tm time without time zone, j jsonb, jb jsonb, ia integer[], ta text[],'
	  . ' field_filter text, item jsonb, filter jsonb', 'IMPORT gives every type of field its type of column') if $real;
is(ask(q(SELECT count(*) FROM information_schema.foreign_tables WHERE foreign_table_schema = 'data')), 4,
	'IMPORT makes the tables of LIMIT TO and no others');
my $long = 'x' x 63;
$odd->fault({ path => '/fields', status => 200,
	body => encode_json({ data => [ map { { collection => 'odd', field => $_, type => 'text',
	schema => { data_type => 'text', is_primary_key => $_ eq 'key' ? JSON::PP::true : JSON::PP::false } } }
			'key', 'item', 'field_item', 'item', 'id', $long, "${long}y" ] }) });
is(ask(q(CREATE SCHEMA odd_data; IMPORT FOREIGN SCHEMA data FROM SERVER odd INTO odd_data;
	SELECT attname, attfdwoptions FROM pg_attribute WHERE attrelid = 'odd_data.odd'::regclass AND attnum > 0
	  ORDER BY attnum; SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'odd_data.odd'::regclass)),
	join("\n", 'id|', 'key|{field=key}', 'field_item|{field=item}', 'field_item_2|{field=field_item}',
	'field_id|{field=id}', "$long|{field=$long}", ('x' x 56) . "_2|{field=${long}y}", 'item|', 'filter|',
	'{resource=items,collection=odd,id_field=key}'),
	'IMPORT gives each field a column of its own');
$odd->heal;
ask(q(SET timezone = 'UTC'));
is(ask(q(SET timezone = 'UTC'; SELECT i2, i4, i8, num, r4, r8, flag, s, t, u, ts, tz, d, tm, j, jb, ia, ta,
	  field_filter FROM data.iu_types ORDER BY id)),
	q(12|2147483647|9223372036854775807|12345678901234567890.0123456789|0.1|0.1|t|sü|text|)
		. q(00000000-0000-4000-8000-00000000000a|2024-01-02 03:04:05|2024-01-02 03:04:05.678+00|2024-01-02|03:04:05|)
		. q({"a": [1, 2]}|{"a": {"b": null}}|{1,2,NULL}|{a,"b c"}|f) . "\n"
	  . '||||||||||||||||||' . "\n"
	  . q(-1|0|-9223372036854775808|0.0000000000|1e+30|1e+300|f|||)
		. q(00000000-0000-4000-8000-00000000000b|2024-06-02 00:00:00|2024-06-01 22:00:00+00|)
		. q(0001-01-01|00:00:00|[]|7|{}|{}|),
	'every value of every type is read as it was');
is(ask(q(SELECT count(*), count(i4), count(ia), count(j), count(*) FILTER (WHERE s = '') FROM data.iu_types)),
	'3|2|2|2|1', 'NULL, null in JSON, an empty array and an empty text are told apart');
is(ask(q(SELECT id, i4 > 5 FROM data.iu_types WHERE i4 > 5)), '1|t', 'a condition on a field is checked here');
is(ask(q(SELECT jsonb_typeof(item -> 'i8'), jsonb_typeof(item -> 'i4'), item -> 'jb' FROM data.iu_types)
	  . q( WHERE id = '1')),
	'string|number|{"a": {"b": null}}', 'the item has its values as Directus has them');
ask(q(CREATE FOREIGN TABLE narrow (id text, i8 integer) SERVER reader OPTIONS (resource 'items', collection
	  'iu_types')));
like(ask('SELECT i8 FROM narrow'), qr/column "i8" .*Collection "iu_types", id "1"/s,
	'a value that does not fit its column is an error that names column and item');
ask(q(CREATE FOREIGN TABLE no_field (id text, nosuch text) SERVER reader OPTIONS (resource 'items', collection
	  'iu_types')));
like(ask('SELECT nosuch FROM no_field'), qr/42501.*field/s,
	'a column of a field that is not there is an error, and not NULL');
ask(q(CREATE FOREIGN TABLE computed (id text, year text OPTIONS (field 'year(tz)')) SERVER reader
	  OPTIONS (resource 'items', collection 'iu_types')));
like(ask('SELECT year FROM computed'), $real ? qr/HV000: .*an item has no field "year\(tz\)"/ : qr/42501/,
	'a column of a computed field that comes by another name is an error');
ask(q(CREATE FOREIGN TABLE odd_field (id text, title text) SERVER odd OPTIONS (resource 'items', collection
	  'iu_documents')));
$odd->fault({ path => '/items/iu_documents', status => 200, body => '{"meta":{"filter_count":1},"data":[{"id":1}]}' });
like(ask('SELECT title FROM odd_field'), qr/an item has no field "title"/,
	'a field that was asked for and did not come is an error');
$odd->heal;

is(ask('SELECT min(id::bigint), max(id::bigint), count(DISTINCT id) FROM data.iu_bigs'),
	'9007199254740991|9007199254741290|300', 'a bigint key keeps its digits');
is(filtered('reader', 'iu_bigs', '{"id":{"_eq":9007199254740993}}'), 1, 'a bigint in a filter keeps its digits');
is(ask(q(SELECT id FROM reader.items WHERE collection = 'iu_bigs' AND filter = '{"id":{"_eq":9007199254740993}}')),
	'9007199254740993', 'a bigint in a filter finds no neighbour');
$odd->fault({ path => '/items/iu_bigs', status => 200,
	body => '{"meta":{"filter_count":1},"data":[{"id":9007199254740993}]}' });
is(ask(q(SELECT id FROM odd.items WHERE collection = 'iu_bigs')), '9007199254740993',
	'a bigint key that comes as a number keeps its digits');
$odd->heal;
is_deeply([ grep { exists $_->{headers}{'if-none-match'} } @asked ], [], 'nothing is asked with If-None-Match');
is_deeply([ grep { $_->{query} =~ /access_token/ || $_->{headers}{authorization} ne "Bearer $token{reader}" } @asked ],
	[], 'the token goes in the header, and never in the address');
is_deeply([ map { "$_->{path}$_->{query}" } grep { $_->{path} eq '/items/iu_ints' } @asked ],
	[ '/items/iu_ints?limit=1000&sort%5B%5D=id&fields%5B%5D=id&meta=filter_count',
	'/items/iu_ints?limit=1000&offset=999&sort%5B%5D=id&fields%5B%5D=id&meta=filter_count',
	  '/items/iu_ints?limit=1&sort%5B%5D=id&fields%5B%5D=id&meta=filter_count'
		. '&filter=%7B%22_or%22%3A%5B%7B%22id%22%3A%7B%22_in%22%3A%5B%227%22%5D%7D%7D%5D%7D' ],
	'every page is asked for with order, limit and offset');
like(raw('GET', '/items/iu_documents?limit=2&offset=500', $token{reader}), qr/^200 .*"data":\[\]/,
	'Directus gives nothing beyond the end');
like(ask('SELECT collection FROM reader.collections'),
	qr/^ERROR:  42501: could not list .*the token may not list collections.*HINT:  Restrict column "collection"/s,
	'a token that may not list collections is told how to do without the list');
like(ask('CREATE SCHEMA none; IMPORT FOREIGN SCHEMA data FROM SERVER reader INTO none'), qr/^ERROR:  42501: /,
	'a token that may not list collections cannot import');
is(ask(q(SELECT count(*) FROM admin.collections WHERE collection IN ('iu_documents', 'iu_ints'))), 2,
	'an administrator may list collections');
like(ask('SELECT string_agg(collection, \' \') FROM admin.collections'), qr/\biu_documents\b(?!.*directus_|.*a_folder)/,
	'the list of collections has those that have items');

note 'keys of every kind';
is(ask(q(SELECT count(*), count(*) FILTER (WHERE id = code AND meaning = 'means ' || code) FROM codes)), '17|17',
	'items are read by a key of text that is not called id');
is(ask(q(SELECT string_agg(id, '!' ORDER BY id COLLATE "C") FROM codes WHERE id IN ('A/1', 'a,b', '"q" & <b> ü%', '',
	  ' x', 'null', 'NULL', '$NOW', '$CURRENT_USER', 'true', '007', 'no such'))),
	'! x!"q" & <b> ü%!$CURRENT_USER!$NOW!007!A/1!NULL!a,b!null!true',
	'each key of text finds its own item, though Directus takes some for something else');
is(ask(q(SELECT n, c.meaning FROM (VALUES (1, 'A/1'), (2, 'none'), (3, NULL), (4, '7')) v (n, k) LEFT JOIN codes c
	  ON c.id = v.k ORDER BY 1)), "1|means A/1\n2|\n3|\n4|means 7", 'items are joined by their key');
$odd->forget;
is(ask(q(SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SELECT count(o.title)
	  FROM (VALUES ('1'), ('2'), ('3'), ('none')) v (k) LEFT JOIN LATERAL (SELECT title FROM odd_field
	  WHERE id = v.k OFFSET 0) o ON true)), 3, 'items are looked up one after the other');
is(scalar($odd->requests('/permissions/me')), 1, 'the access is asked for once in a statement');
is(ask(q(SELECT count(*) FROM generate_series(150, 170) n WHERE NOT EXISTS (SELECT FROM documents d
	  WHERE d.id = n::text))), 7, 'keys without an item are found');
is_deeply([ ask(q(SELECT count(*) FROM documents WHERE id = NULL)),
	ask(q(SELECT count(*) FROM documents WHERE id = ANY ('{}'))) ], [ 0, 0 ],
	'NULL and an empty array of ids find nothing, and ask nothing');
is(ask(q(SELECT (SELECT v FROM (SELECT item ->> 'v' AS v FROM reader.items WHERE collection = 'iu_one') x), (SELECT
	  count(*) FROM reader.items WHERE collection = 'iu_one'), (SELECT items FROM reader.collections
	  WHERE collection = 'iu_one'))), 'only|1|1', 'the item of a singleton is read and counted');
is(ask(q(SELECT id FROM reader.items WHERE collection = 'iu_one' AND filter = '{"id":{"_eq":2}}')), '',
	"a filter that a singleton's item does not meet gives nothing");

note 'filters';
is(ask(q(SELECT id, filter FROM documents WHERE filter = '{"id":{"_in":[1,2]}}' ORDER BY id)),
	qq(1|{"id": {"_in": [1, 2]}}\n2|{"id": {"_in": [1, 2]}}), 'the column filter shows the filter');
is(ask(q(SELECT id, filter FROM documents WHERE id = '1')), '1|',
	'the column filter is shown as NULL where none was given');
is(ask(q(SELECT id FROM documents WHERE filter = '{"id":{"_in":[1,2]}}' AND id IN ('2', '3'))), 2,
	'a filter and ids are asked for together');
like(ask(q(SELECT id FROM documents WHERE filter = '[]')), qr/^ERROR:  22023: .*a filter is a JSON object/,
	'a filter that Directus would leave out is refused here');
is(figure('Requests', q(SELECT count(*) FROM documents WHERE filter = '{"category":{"_eq":"alpha"}}')), 2,
	'a count with a filter is one request, beside that for the access');
is(ask(q(SELECT count(*) FROM documents WHERE category = 'alpha')), 40,
	'a count with a condition on a field is counted here');
{
	my $related = '{"children":{"id":{"_gt":0}}}';
	my ($aggregate, $how) = IU::Directus::is_since(12) ? (1, 'once') : (150, 'once for each related one');
	like(raw('GET', "/items/iu_parent?aggregate[count]=*&filter=$related", $token{reader}), qr/"count":"$aggregate"/,
		"Directus counts an item $how in an aggregate");
	is_deeply([ filtered('reader', 'iu_parent', $related),
		ask("SELECT count(*) FROM (SELECT id FROM reader.items WHERE collection = 'iu_parent'"
		  . " AND filter = '$related') x") ], [ 1, 1 ], 'a filter on related items counts each item once');
}

note 'a collection that changes while it is read';
sub while_read
{
	my ($server, $between) = @_;
	my $psql = $node->background_psql('postgres', on_error_stop => 0);
	$psql->query(qq(BEGIN; DECLARE c CURSOR FOR SELECT id FROM $server.items WHERE collection = 'iu_moving';
		  FETCH 1 FROM c;));
	$between->();
	my $rows = $psql->query('FETCH ALL FROM c;');
	my $error = $psql->{stderr};
	$psql->quit;
	return $error =~ /changed while it was read/ ? 'changed' : scalar(split /\n/, $rows);
}
sub change
{
	my ($method, $id) = @_;
	raw($method, '/items/iu_moving' . ($method eq 'DELETE' ? "/$id" : ''), $token{admin},
		$method eq 'POST' ? { id => $id, n => 1 } : undef, $real ? $url : $other{most});
	return;
}
is(while_read('most', sub { }), 299, 'a collection that does not change is read whole');
is(while_read('most', sub { change('DELETE', 10) }), 'changed',
	'an item that goes while the collection is read is an error');
is(while_read('most', sub { change('POST', 10) }), 'changed',
	'an item that comes while the collection is read is an error');
is(while_read('most', sub { change('DELETE', 10); change('POST', 1000) }), 'changed',
	'an item that goes and one that comes while the collection is read are an error');
change('POST', 10);
is(while_read('most', sub { change('DELETE', 1000) }), 299, 'an item that goes behind what was read is not there');
is(while_read('most', sub { change('POST', 1000) }), 300, 'an item that comes behind what was read is there');
change('DELETE', 1000);
foreach my $case ([ '{"meta":{"filter_count":3},"data":[{"id":1},{"id":2}]}',
	qr/it changed while it was read.*2 items came of 3/s ],
	[ '{"meta":{"filter_count":1},"data":[{"id":1},{"id":2}]}', qr/2 items came of 1/ ],
	[ '{"meta":{"filter_count":1},"data":[{"n":1}]}', qr/an item has no field "id" that could be its key/ ],
	[ '{"meta":{"filter_count":1},"data":null}', qr/the answer holds no list of items/ ],
	[ '{"meta":{},"data":[{"id":1}]}', qr/the answer holds no count/ ],
	[ '{"meta":{"filter_count":1},"data":[{"id":{}}]}', qr/no field "id"/ ])
{
	$odd->fault({ path => '/items/iu_documents', status => 200, body => $case->[0] });
	like(ask(q(SELECT id FROM odd.items WHERE collection = 'iu_documents')), $case->[1],
		"an answer that cannot be a page is an error: $case->[0]");
	$odd->heal;
}

note 'tables that Directus did not make';
SKIP:
{
	skip 'needs a real Directus', 9 unless $real;
	is_deeply([ items('admin', 'iu_legacy'), total('admin', 'iu_legacy', q(id > '')) ], [ 12, 12 ],
		'a table that Directus did not make can be read by an administrator at once');
	like(items('reader', 'iu_legacy'), $forbidden, 'a table that Directus did not make can be read by nobody else');
	like(items('admin', $_), $forbidden, "a relation that Directus does not serve is an error: $_")
		  foreach qw(iu_nopk iu_view);
	database('CREATE TABLE iu_new (id integer PRIMARY KEY); INSERT INTO iu_new VALUES (1), (2)');
	like(items('admin', 'iu_new'), $forbidden, 'a new table is not known to Directus');
	raw('POST', '/utils/cache/clear?system', $token{admin});
	is(items('admin', 'iu_new'), 2, 'a new table is known to Directus when its cache is cleared');
	database('INSERT INTO iu_new VALUES (3)');
	is(items('admin', 'iu_new'), 3, 'a row that SQL inserts is there at once');
	database('DROP TABLE iu_new');
	like(items('admin', 'iu_new'), qr/^ERROR:  HV000: .*HTTP 500.*HINT:  .*dropped under it/s,
		'a table that was dropped is an error whose hint says so');
	raw('POST', '/utils/cache/clear?system', $token{admin});
	is(ask(q(SELECT count(*) FROM admin.items WHERE collection = 'iu_child'
		  AND filter = '{"parent":{"name":{"_eq":"p"}}}')), 150,
		'a foreign key that SQL made can be followed by a filter');
}

note 'time';
$odd->fault({ path => '/items/iu_documents', action => 'hang' });
like(ask(q(SET statement_timeout = '300ms'; SELECT id FROM odd.items WHERE collection = 'iu_documents')),
	qr/57014: canceling statement due to statement timeout/,
	'a page that does not come is waited for until statement_timeout');
like(ask(q(SET statement_timeout = '300ms'; SELECT count(*) FROM odd.items WHERE collection = 'iu_documents')),
	qr/57014/, 'a count that does not come is waited for until statement_timeout');
$odd->heal;
is(total('odd', 'iu_documents'), 163, 'after the time-outs a count is given');

$idle->finish;
is("$idle_out$idle_err", "163\n\n163\n", 'a connection that Directus closed after 5 s is no failure');

$node->stop;
done_testing();
