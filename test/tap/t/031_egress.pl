# What may be reached: every address and spelling that leads somewhere it must
# not, each way in which an address can be got past a check, asked by hand and
# as a route. The server is on a network of the test's own (IU::Wire), on which
# every address leads to one listener: what is refused is not seen there.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Receiver;
use IU::Routes qw(:DEFAULT add_route_sql arm_sql);
use IU::SQL;
use IU::Wire;
use JSON::PP qw(decode_json);
use IU::Lines;
use PostgreSQL::Test::Utils;
use Test::More;

my $trap = IU::Receiver->start;
my $port = $trap->port;
my $wire = IU::Wire->new($port);
my $home = PostgreSQL::Test::Utils::tempdir;

# What else could send a request elsewhere, or credentials along.
append_to_file("$home/.netrc", "default login leaked password leaked\n");
append_to_file("$home/.curlrc", "proxy = \"http://192.0.2.99:3128\"\nlocation\nuser = \"leaked:leaked\"\n");
@ENV{qw(HOME CURL_HOME NETRC)} = ($home, $home, "$home/.netrc");
$ENV{$_} = 'http://192.0.2.99:3128'
	  foreach qw(http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY socks_proxy);
delete @ENV{qw(no_proxy NO_PROXY)};

my $node = IU::Cluster->init_node('egress', { installed => 1 });
$wire->start($node);
IU::Cluster->install($node);

talk_to($node);
sub probe
{
	return decode_json(sql('SELECT to_jsonb(p) FROM iu_core.http_probe(\'POST\', ' . literal($_[0])
		  . ", NULL, '{}', 60000) p"));
}
sub allow
{
	my ($origins, $networks) = @_;
	return IU::Cluster->reload($node, 'iu_core.allowed_origins' => $origins, 'iu_core.allowed_networks' => $networks);
}

# Nothing was connected: no socket was, and the listener saw none.
my $arrived = 0;
sub nothing_connected
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_deeply([ $wire->connects ], [], "$what: nothing is connected");
	is($trap->connections, $arrived, "$what: the listener sees nothing");
	return;
}

# ---------- addresses, spellings and names ----------

# Host as a URL has it => the address that it means.
my @hosts = (
	[ '127.0.0.1',                '127.0.0.1' ],
	[ '127.255.255.254',          '127.255.255.254' ],
	[ '2130706433',               '127.0.0.1' ],		# decimal
	[ '0x7f000001',               '127.0.0.1' ],		# hexadecimal
	[ '0x7F.0.0.1',               '127.0.0.1' ],
	[ '017700000001',             '127.0.0.1' ],		# octal
	[ '0177.0.0.1',               '127.0.0.1' ],
	[ '00000177.0x0.00.01',       '127.0.0.1' ],
	[ '127.1',                    '127.0.0.1' ],		# short
	[ '127.0.1',                  '127.0.0.1' ],
	[ '127.65535',                '127.0.255.255' ],
	[ '%31%32%37.0.0.1',          '127.0.0.1' ],		# percent-encoded
	[ '%6c%6fopback.test',        '127.0.0.1' ],
	[ '0',                        '0.0.0.0' ],
	[ '0.0.0.0',                  '0.0.0.0' ],
	[ '10.0.0.1',                 '10.0.0.1' ],			# private
	[ '167772161',                '10.0.0.1' ],
	[ '172.16.0.1',               '172.16.0.1' ],
	[ '172.31.255.255',           '172.31.255.255' ],
	[ '192.168.0.1',              '192.168.0.1' ],
	[ '0xc0a80001',               '192.168.0.1' ],
	[ '169.254.169.254',          '169.254.169.254' ],	# link-local, cloud metadata
	[ '2852039166',               '169.254.169.254' ],
	[ '100.64.0.1',               '100.64.0.1' ],		# carrier-grade NAT
	[ '100.127.255.254',          '100.127.255.254' ],
	[ '192.0.0.192',              '192.0.0.192' ],		# another cloud's metadata
	[ '192.88.99.1',              '192.88.99.1' ],		# 6to4 relay
	[ '198.18.0.1',               '198.18.0.1' ],		# benchmarks
	[ '203.0.113.1',              '203.0.113.1' ],		# documentation
	[ '224.0.0.1',                '224.0.0.1' ],		# multicast
	[ '239.255.255.250',          '239.255.255.250' ],
	[ '240.0.0.1',                '240.0.0.1' ],		# reserved
	[ '255.255.255.255',          '255.255.255.255' ],	# broadcast
	[ '[::1]',                    '::1' ],
	[ '[0:0:0:0:0:0:0:1]',        '::1' ],
	[ '[::]',                     '::' ],
	[ '[::ffff:127.0.0.1]',       '::ffff:127.0.0.1' ],	# IPv4-mapped
	[ '[::ffff:7f00:1]',          '::ffff:127.0.0.1' ],
	[ '[::ffff:169.254.169.254]', '::ffff:169.254.169.254' ],
	[ '[::ffff:0:127.0.0.1]',     '::ffff:0:7f00:1' ],	# IPv4-translated
	[ '[::127.0.0.1]',            '::127.0.0.1' ],		# IPv4-compatible
	[ '[64:ff9b::127.0.0.1]',     '64:ff9b::7f00:1' ],	# NAT64
	[ '[64:ff9b::a9fe:a9fe]',     '64:ff9b::a9fe:a9fe' ],
	[ '[64:ff9b:1::a00:1]',       '64:ff9b:1::a00:1' ],	# local NAT64
	[ '[64:ff9b:1:ffff::1]',      '64:ff9b:1:ffff::1' ],
	[ '[2002:7f00:1::1]',         '2002:7f00:1::1' ],	# 6to4
	[ '[2002:a9fe:a9fe::]',       '2002:a9fe:a9fe::' ],
	[ '[2001::7f00:1]',           '2001::7f00:1' ],		# Teredo
	[ '[2001:db8::1]',            '2001:db8::1' ],		# documentation
	[ '[fc00::1]',                'fc00::1' ],			# unique local
	[ '[fd00:ec2::254]',          'fd00:ec2::254' ],	# cloud metadata
	[ '[fe80::1]',                'fe80::1' ],			# link-local
	[ '[fec0::1]',                'fec0::1' ],			# site-local
	[ '[ff02::1]',                'ff02::1' ],			# multicast
	[ '[100::1]',                 '100::1' ],			# discard
	[ '[5f00::1]',                '5f00::1' ],			# segment routing
	[ 'localhost',                '127.0.0.1|::1' ],	# curl knows it by heart
	[ 'LOCALHOST',                '127.0.0.1|::1' ],
	[ 'ip6-localhost',            '::1' ],
	[ 'loopback.test',            '127.0.0.1' ],
	[ '127.0.0.1.nip.test',       '127.0.0.1' ],
	[ 'short',                    '10.1.2.3' ],			# completed by a search domain
	[ 'mapped.test',              '::ffff:10.0.0.1|10.0.0.1' ],
	[ 'nat64.test',               '64:ff9b::a00:1' ],
	[ 'metadata.test',            '169.254.169.254' ],
	[ 'xn--lcalhost-q8a.test',    '127.0.0.1' ],		# IDN, encoded
	[ 'under_score.test',         '192.168.7.7' ],
);
$wire->name($_->[0], [ $_->[1] =~ s/\|.*//r ])
	  foreach grep { $_->[0] =~ /^(?:ip6-|[a-z].*test|short|127.*test)/ } @hosts;
sub meant { return '(?:' . join('|', map { quotemeta } split /\|/, $hosts[ $_[0] ][1]) . ')' }
my @urls = map { "http://$_->[0]:$port/ok" } @hosts;
cmp_ok(scalar @urls, '>=', 40, scalar(@urls) . ' addresses, spellings and names are tried');

# The origin of each as the setting spells it: that of the refusal.
my %origin = map { my $url = $_; $url => sql('SELECT iu_core.egress_refusal(' . literal($url)
	  . ')') =~ /^origin "(.*)" is not in/ ? $1 : 'none' } @urls;
is_deeply([ grep { $origin{$_} eq 'none' } @urls ], [], 'the setting has a spelling for the origin of each URL');

note 'the origin is not allowed, though every address is';
allow("http://fine.test:$port", '0.0.0.0/0, ::/0');
is(probe($_)->{outcome}, 'origin_refused', "with every address allowed an origin that is not is refused: $_")
	  foreach @urls;
is_deeply([ $wire->lookups ], [], 'no name is looked up for an origin that is not allowed');
nothing_connected('while no origin is allowed');

note 'the origin is allowed, the address is not';
my %seen;
my $origins = join ', ', "http://fine.test:$port", grep { !$seen{$_}++ } @origin{@urls};
allow($origins, '');
foreach my $n (0 .. $#hosts)
{
	my $answer = probe($urls[$n]);
	is($answer->{outcome}, 'address_refused', "with its origin allowed an address that is not is refused: $urls[$n]");
	like($answer->{error}, pattern(qr/^address @{[ meant($n) ]} of origin "\Q$origin{$urls[$n]}\E" is not/,
			qr/ public and not in iu_core.allowed_networks$/),
			"the refusal names the address that the host means: $urls[$n]");
}
nothing_connected('while no address is allowed');

note 'a route to each of them';
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
my @routable = grep { !/%/ } @urls;
is(sql('SELECT count(*) FROM unnest(ARRAY[' . join(',', map { literal($_) } @urls)
	  . ']) u WHERE iu.fn_iu_route_url_problem(u) IS NOT NULL'),
	@urls - @routable, 'a route takes no host with a percent sign');
sql(join ';', map { (add_route_sql("r$_", $routable[$_], secret_ref => 'shared'), arm_sql("r$_")) } 0 .. $#routable);
sql("SELECT fn_iu_route_secret_add('shared', 'tester', 'test')");
emit(1);
becomes('SELECT count(DISTINCT route_code) = ' . @routable . " FROM iu_route_retry WHERE reason = 'address_refused'",
	'the sender holds the event on every route whose address is refused');
is(sql('SELECT count(*) FROM iu_route_attempt'), 0, 'an address that is refused costs a route no attempt');
is(sql("SELECT string_agg(DISTINCT code, ',') FROM v_iu_route_held"), 'address_refused',
	'a route whose address is refused says so');
nothing_connected('while every route is held for its address');

note 'the origin is taken off the list';
allow("http://fine.test:$port", '');
is(sql("SELECT string_agg(DISTINCT refusal, ',') FROM v_iu_event_backlog"), 'origin_not_allowed',
	'a route whose origin is taken off the list is held for that');
sql('UPDATE iu_route_retry SET due_at = clock_timestamp(); SELECT iu_core.wake()');
is(sql("SELECT count(*) FROM iu.fn_iu_delivery_claim('by hand', 100)"), 0,
	'a claim gives nothing of a route whose origin is taken off the list');
nothing_connected('while every route is held for its origin');
sql("SELECT fn_iu_route_retire(route_code, 'tester', 'test') FROM iu_outbound_route");

note 'the same where both are allowed: the listener would have seen it';
allow($origins, '0.0.0.0/0, ::/0');
foreach my $n (0 .. $#hosts)
{
	$wire->forget;
	my $answer = probe($urls[$n]);
	like(join(' ', @$answer{qw(outcome status)}, $wire->connects), qr/^answered 200 @{[ meant($n) ]} $port$/,
		"with origin and address allowed the address is reached: $urls[$n]");
	$arrived++;
}
is($trap->connections, $arrived, 'the listener sees every connection that is allowed');
is((grep { $_->{headers}{authorization} } $trap->requests), 0, 'no credentials of .netrc or .curlrc are sent');
$wire->forget;

# ---------- URLs that no setting can allow ----------

note 'everything is allowed that can be';
my $public = "http://fine.test:$port";
$wire->name('fine.test', ['8.8.8.8']);
my @never = (
	[ "http://fine.test\@127.0.0.1:$port/",           'it has a user part' ],
	[ "http://fine.test:$port\@127.0.0.1:$port/",     'it has a user part' ],
	[ "http://fine.test%40127.0.0.1:$port/",          'it cannot be parsed' ],
	[ "http://user:secret\@fine.test:$port/",         'it has a user part' ],
	[ "http://\@fine.test:$port/",                    'it has a user part' ],
	[ "http://fine.test:$port\\\@127.0.0.1/",         'it holds a backslash' ],
	[ "http:\\\\127.0.0.1:$port/",                    'it holds a backslash' ],
	[ "http://127.0.0.1\\.fine.test:$port/",          'it holds a backslash' ],
	[ "http://127.0.0.1\t:$port/",                    'it holds a space, a control character or a byte that is'
	  . ' not ASCII' ],
	[ "\thttp://127.0.0.1:$port/",                    'it holds a space, a control character or a byte that is'
	  . ' not ASCII' ],
	[ "http://fine.test:$port/\r\nHost: 127.0.0.1",
	'it holds a space, a control character or a byte that is not ASCII' ],
	[ "http://fine.test:$port/ HTTP/1.1",
	'it holds a space, a control character or a byte that is not ASCII' ],
	[ "http://127\x{3002}0\x{3002}0\x{3002}1:$port/",
	'it holds a space, a control character or a byte that is not ASCII' ],
	[ "http://\x{2460}\x{2461}\x{2466}.0.0.1:$port/",
	'it holds a space, a control character or a byte that is not ASCII' ],
	[ "http://\x{ff4c}ocalhost:$port/",
	'it holds a space, a control character or a byte that is not ASCII' ],
	[ "http://127.0.0.1%00.fine.test:$port/",         'it cannot be parsed' ],
	[ "http://127.0.0.1%0d%0a:$port/",                'it cannot be parsed' ],
	[ "http://127.0.0.1%2f.fine.test:$port/",         'it cannot be parsed' ],
	[ "http://[fe80::1%25lo]:$port/",                 'it has an IPv6 zone' ],
	[ "http://[::1:$port/",                           'it cannot be parsed' ],
	[ "http://[127.0.0.1]:$port/",                    'it cannot be parsed' ],
	[ "http://fine.test:0/",                          'its port is not a number from 1 to 65535' ],
	[ 'http://fine.test:' . ($port + 65536) . '/',    'its port is not a number from 1 to 65535' ],
	[ "http://fine.test:$port:22/",                   'its port is not a number from 1 to 65535' ],
	[ "http://:$port/",                               'it cannot be parsed' ],
	[ "http:///127.0.0.1:$port/",                     'it has no host' ],
	[ "http:/127.0.0.1:$port/",                       'it does not start with http:// or https://' ],
	[ "//127.0.0.1:$port/",                           'it does not start with http:// or https://' ],
	[ "127.0.0.1:$port",                              'it does not start with http:// or https://' ],
	[ 'file:///etc/passwd',                           'it does not start with http:// or https://' ],
	[ "file://fine.test:$port/etc/passwd",            'it does not start with http:// or https://' ],
	[ "unix:$home/socket",                            'it does not start with http:// or https://' ],
	[ "http+unix://%2Ftmp%2Fsocket/",                 'it does not start with http:// or https://' ],
	[ "http://%2Ftmp%2Fsocket/",                      'it cannot be parsed' ],
	map { [ "$_://fine.test:$port/x", 'it does not start with http:// or https://' ] }
	  qw(gopher gophers dict ftp ftps ldap ldaps scp sftp smb telnet tftp imap pop3 smtp rtsp rtmp mqtt ws wss),
	qw(data jar httpss));
allow($origins, '0.0.0.0/0, ::/0');
foreach (@never)
{
	my ($url, $why) = @$_;
	utf8::encode($url);
	my $answer = probe($url);
	is_deeply([ @$answer{qw(outcome error)} ],
		[ 'origin_refused', "iu_core.allowed_origins can never allow this URL: $why" ],
		'no setting can allow this URL: ' . $url =~ s/[^\x21-\x7e]/?/gr);
}
nothing_connected('for URLs that no setting can allow');

# ---------- what looks like an origin that is allowed ----------

note 'one origin is allowed, of any address';
allow($public, '0.0.0.0/0, ::/0');
foreach my $url ("https://fine.test:$port/", "http://fine.test/", 'http://fine.test:22/', 'http://fine.test:6379/',
	"http://fine.test.:$port/",
	"http://fine.test.evil.test:$port/", "http://evil.test:$port/?http://fine.test:$port/",
	"http://evil.test:$port#\@fine.test:$port/",
	"http://evil.test:$port/\@fine.test:$port/", "http://fine.test.:$port", "http://fin%65.test%2e:$port/",
	"http://afine.test:$port/", "http://fine-test:$port/")
{
	is(probe($url)->{outcome}, 'origin_refused', "what only looks like the allowed origin is refused: $url");
}
nothing_connected('for what only looks like the allowed origin');
foreach my $url ("HTTP://FINE.TEST:$port/ok", "http://fin%65.test:$port/ok", "http://fine.test:0$port/ok",
	"$public/ok?\@127.0.0.1:1/", "$public/ok#\@127.0.0.1")
{
	$wire->forget;
	is(probe($url)->{outcome}, 'answered', "another spelling of the allowed origin is reached: $url");
	is_deeply([ $wire->connects ], ["8.8.8.8 $port"],
		"the allowed origin is reached at its own address, and not at a proxy of the environment: $url");
	$arrived++;
}
like(probe("http://fine.test:$port/redirect")->{status}, qr/302/, 'a redirect is given as the answer');
$arrived++;

# ---------- redirects ----------

note 'public addresses only';
allow("$public, http://localhost:$port, http://127.0.0.1:$port", '');
$wire->forget;
foreach my $status (301, 302, 303, 307, 308)
{
	foreach my $to ("http://127.0.0.1:$port/ok", "//localhost:$port/ok", 'file:///etc/passwd',
		"gopher://127.0.0.1:$port/_x")
	{
		my $answer = probe("$public/to?$status,$to");
		is_deeply([ @$answer{qw(outcome status)} ], [ 'answered', $status ], "a redirect is an answer: $status to $to");
	}
}
my @connects = $wire->connects;
is((grep { $_ ne "8.8.8.8 $port" } @connects), 0, 'no redirect is followed, not even to an origin that is allowed');
is(scalar @connects, 20, 'each redirect costs one connection');
$arrived += 20;
is($trap->connections, $arrived, 'the listener sees the connections of the redirects and no more');

# ---------- a name that changes its mind ----------

note 'rebinding';
$wire->forget;
$wire->name('rebind.test', ['8.8.8.8'], ['127.0.0.1'], ['::1'], ['::ffff:127.0.0.1'], ['8.8.4.4']);
$wire->name('both.test', [ '127.0.0.1', '8.8.8.8' ], [ '8.8.8.8', '10.0.0.1' ],
	[ '::1', '127.0.0.1', '169.254.169.254' ]);
allow("http://rebind.test:$port, http://both.test:$port", '');
my @turns = map { my $before = $wire->connects; my $answer = probe("http://rebind.test:$port/ok"); [ $answer->{outcome},
	($wire->connects)[ $before .. $wire->connects - 1 ] ] } 1 .. 5;
is_deeply(\@turns, [ [ 'answered', "8.8.8.8 $port" ], (['address_refused']) x 3, [ 'answered', "8.8.4.4 $port" ] ],
	'a name that leads to a public address, then to loopback in three guises, then to a public one is judged each time'
	  . ' by where it leads');
my %lookups;
$lookups{$_}++ foreach grep { /^rebind\.test / } $wire->lookups;
is_deeply({ map { $_ => 5 } keys %lookups }, \%lookups,
	'a name is looked up once for a request, or once for each family, so that what is checked is what is connected');
$wire->forget;
is_deeply([ map { probe("http://both.test:$port/ok")->{outcome} } 1 .. 3 ],
	[ 'answered', 'answered', 'address_refused' ], 'a name is reached if one of its addresses is allowed');
is_deeply([ $wire->connects ], [ ("8.8.8.8 $port") x 2 ],
	'a name of several addresses is reached at the public one only');
$arrived += 4;
is($trap->connections, $arrived, 'the listener sees no other connection of names that change');

note 'rebinding under the sender';
$wire->forget;
$wire->name('moving.test', ['8.8.8.8'], ['127.0.0.1']);
allow("http://moving.test:$port, http://kept.test:$port", '');
add_route('moving', "http://moving.test:$port/ok");
emit(1);
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = 'moving' AND status = 'sent')",
	'the sender reaches a name that leads to a public address');
my $pid = IU::Cluster->wait_for_worker($node, 'sender');
sql("SELECT pg_terminate_backend($pid)");		# it remembers a name for a minute
IU::Cluster->wait_for_worker($node, 'sender', $pid);
emit(1);
becomes("SELECT EXISTS (SELECT FROM iu_route_retry WHERE route_code = 'moving' AND reason = 'address_refused')",
	'the sender holds the event when the name leads to a loopback address');
is_deeply([ $wire->connects ], ["8.8.8.8 $port"], 'the sender connects to the public address only');
retire('moving');

note 'a connection that is kept, whose address is struck off the list';
allow("http://kept.test:$port", '10.9.8.7/32');
$wire->name('kept.test', ['10.9.8.7']);
$wire->forget;
add_route('kept', "http://kept.test:$port/keep");
emit(1);
becomes("SELECT count(*) = 1 FROM iu_route_attempt WHERE route_code = 'kept' AND status = 'sent'",
	'the first delivery to an allowed address is sent');
emit(1);
becomes("SELECT count(*) = 2 FROM iu_route_attempt WHERE route_code = 'kept' AND status = 'sent'",
	'the second delivery to an allowed address is sent');
is_deeply([ $wire->connects ], ["10.9.8.7 $port"], 'both deliveries go over the same connection');
$arrived = $trap->connections;
allow("http://kept.test:$port", '');
emit(1);
becomes("SELECT EXISTS (SELECT FROM iu_route_retry WHERE route_code = 'kept' AND reason = 'address_refused')",
	'a delivery is held when the address of the kept connection is struck off the list');
is((grep { $_->{line} =~ m{^POST /keep } } $trap->requests), 2,
	'nothing more is sent over a kept connection whose address is struck off the list');
is($trap->connections, $arrived, 'nothing is sent over another connection to an address that is struck off the list');

$node->stop;
$trap->stop;
done_testing();
