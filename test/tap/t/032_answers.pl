# What a receiver can do to a sender: each failure gets its code and what
# follows from it, costs neither memory nor time without bound, and the same
# process goes on with the next delivery. The server is on a network of the
# test's own (IU::Wire), for its names and its certificates.
use strict;
use warnings;

use IU::Certificate;
use IU::Cluster;
use IU::Gate;
use IU::Peer;
use IU::Process;
use IU::Receiver;
use IU::Routes;
use IU::SQL;
use IU::Wire;
use PostgreSQL::Test::Utils;
use Test::More;

my $raw = IU::Receiver->start;
my $peer = IU::Peer->start('receiver');
my $closed_port = PostgreSQL::Test::Cluster::get_free_port();

# ---------- certificates ----------

my $authority = IU::Certificate->authority;
my $tls = $peer->control('tls', { names => {
	'good.test'    => $authority->sign('good', 'good.test'),
	'wrong.test'   => $authority->sign('wrong', 'other.test'),
	'expired.test' => $authority->sign('expired', 'expired.test', '20200101000000Z', '20210101000000Z'),
	'early.test'   => $authority->sign('early', 'early.test', '20390101000000Z'),
	'self.test'    => IU::Certificate->self_signed('self.test') } })->{port};

# ---------- the server ----------

my $wire = IU::Wire->new(0);
$wire->trust($authority->file);
$wire->name($_, ['8.8.8.8']) foreach qw(good.test wrong.test expired.test early.test self.test);
$wire->name('nowhere.test', []);
$wire->name('twice.test', ['8.8.8.8', '8.8.4.4']);
my %origin = (raw => $raw->origin, peer => $peer->url, closed => "http://127.0.0.1:$closed_port",
	nowhere => 'http://nowhere.test',
	twice => "http://twice.test:$closed_port", plain => 'https://' . $peer->address,
	map { $_ => "https://$_.test:$tls" } qw(good wrong expired early self));
my $node = IU::Cluster->init_node('answers', { installed => 1 },
	'iu_core.allowed_origins' => join(', ', values %origin), 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.max_response_size' => '1MB');
$wire->start($node);
IU::Cluster->install($node);

talk_to($node);

# What is tried again is so in an hour. What times out has less time than the rest.
sub add
{
	my ($route, $url, $failure) = @_;
	return add_route($route, $url, retry => \%IU::Routes::IN_AN_HOUR,
		timeout_ms => ($failure // '') eq 'timed_out' ? 3000 : 120000);
}

switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
my $pid = IU::Cluster->wait_for_worker($node, 'sender');
add('well', "$origin{good}/well");
emit(1);
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE status = 'sent')",
	'a delivery over TLS with a certificate that an authority vouches for is sent');
is_deeply([ map { $_->{method} } $peer->requests('/well') ], ['POST'], 'the delivery over TLS arrives once, by POST');
my $before = peak_memory($pid);

# ---------- each failure ----------

# Route: where to, failure code, what follows (see follows below).
my %fate = (
	# classes
	dns             => [ "$origin{nowhere}/",           'dns_failed',         'retry' ],
	refused         => [ "$origin{closed}/",            'connect_failed',     'retry' ],
	'refused-twice' => [ "$origin{twice}/",             'connect_failed',     'retry' ],
	'wrong-name'    => [ "$origin{wrong}/",             'tls_failed',         'retry' ],
	expired         => [ "$origin{expired}/",           'tls_failed',         'retry' ],
	early           => [ "$origin{early}/",             'tls_failed',         'retry' ],
	'self-signed'   => [ "$origin{self}/",              'tls_failed',         'retry' ],
	'no-tls'        => [ "$origin{plain}/ok",           'tls_failed',         'retry' ],
	hang            => [ "$origin{raw}/hang",           'timed_out',          'retry' ],
	redirect        => [ "$origin{raw}/redirect",       'http_302',           'retry' ],
	(map { ("s$_" => [ "$origin{raw}/status?$_", "http_$_", 'retry' ]) } 300, 301, 304, 307, 400, 401, 403, 404, 405,
	408, 409, 413, 422, 425, 451, 500, 501, 502, 504, 599),
	s410            => [ "$origin{raw}/status?410",     'http_410',           'disable' ],
	s503            => [ "$origin{raw}/status?503",     'http_503',           'obey' ],
	# too much
	flood           => [ "$origin{raw}/flood",          'response_too_large', 'give_up' ],	# 200 MB
	endless         => [ "$origin{raw}/endless",        'response_too_large', 'give_up' ],
	announced       => [ "$origin{raw}/announced",      'response_too_large', 'give_up' ],
	headers         => [ "$origin{raw}/headers",        'response_too_large', 'give_up' ],	# without end
	interims        => [ "$origin{raw}/interims",       'response_too_large', 'retry' ],
	# too slow
	drip            => [ "$origin{raw}/drip",           'timed_out',          'retry' ],
	half            => [ "$origin{raw}/half",           'timed_out',          'retry' ],
	'slow-head'     => [ "$origin{raw}/slow-head",      'timed_out',          'retry' ],
	'slow-line'     => [ "$origin{raw}/slow-line",      'timed_out',          'retry' ],
	# broken off
	close           => [ "$origin{raw}/close",          'connection_lost',    'retry' ],
	'half-close'    => [ "$origin{raw}/half-close",     'connection_lost',    'retry' ],
	'reset-now'     => [ "$origin{raw}/reset-now",      'connection_lost',    'retry' ],
	'reset-body'    => [ "$origin{raw}/reset",          'connection_lost',    'retry' ],
	'bad-chunk'     => [ "$origin{raw}/bad-chunk",      'connection_lost',    'retry' ],
	short           => [ "$origin{raw}/short",          'connection_lost',    'retry' ],
	# no HTTP
	garbage         => [ "$origin{raw}/garbage",        'not_http',           'retry' ],
	'long-line'     => [ "$origin{raw}/long-line",      'not_http',           'retry' ],	# a header line without end
	'bad-length'    => [ "$origin{raw}/bad-length",     'not_http',           'retry' ],
	text            => [ "$origin{raw}/text",           'http_500',           'retry' ],
	# not a failure
	bomb            => [ "$origin{raw}/bomb",           '',                   '' ],	# is not unpacked
	more            => [ "$origin{raw}/more",           '',                   '' ],
	binary          => [ "$origin{raw}/binary",         '',                   '' ],
);
my $follows = q{CASE
	WHEN EXISTS (SELECT FROM iu_route_dead_letter d WHERE d.route_code = a.route_code) THEN 'give_up'
	WHEN NOT (SELECT enabled FROM iu_outbound_route r WHERE r.route_code = a.route_code) THEN 'disable'
	ELSE (SELECT CASE WHEN due_at > clock_timestamp() + interval '90 min' THEN 'obey' ELSE 'retry' END
		FROM iu_route_retry t WHERE t.route_code = a.route_code) END};

add($_, @{ $fate{$_} }) foreach sort keys %fate;
add('s429', "$origin{raw}/status?429");
emit(1);
becomes("SELECT EXISTS (SELECT FROM iu_route_retry WHERE route_code = 's429' AND reason = 'http_429')",
	'a receiver that answers 429 gets the delivery later');
foreach my $route (sort keys %fate)
{
	wait_until("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = '$route')");
	is(sql("SELECT coalesce(failure_code, '') || ' ' || coalesce($follows, '') FROM iu_route_attempt a"
		  . " WHERE route_code = '$route'"),
		"$fate{$route}[1] $fate{$route}[2]",
		"a receiver that does \"$route\": the failure is \"$fate{$route}[1]\", what follows is \"$fate{$route}[2]\"")
	  or diag(sql("SELECT a FROM iu_route_attempt a WHERE route_code = '$route'"));
}
is(sql("SELECT count(*) FROM iu_route_attempt WHERE status = 'failed' AND failure_code NOT LIKE 'http\\_%'"
	  . " AND coalesce(failure_detail, '') = ''"), 0, 'every failure without an HTTP status has a sentence');
like(sql("SELECT failure_detail FROM iu_route_attempt WHERE route_code = '$_->[0]'"), $_->[1],
	"the failure of \"$_->[0]\" says in words what it is")
  foreach [ 'wrong-name', qr/certificate subject name|subjectAltName|alternative certificate/i ],
[ 'expired', qr/expired/ ], [ 'self-signed', qr/self.signed/ ],
  [ 'early', qr/not yet valid/ ], [ 'refused', qr/Connection refused/ ], [ 'dns', qr/could not be resolved/ ],
[ 'hang', qr/within 3000 ms/ ], [ 'headers', qr/larger than 64 kB/ ],
  [ 'flood', qr/larger than iu_core.max_response_size \(1024 kB\)/ ];
is(sql("SELECT response_excerpt FROM iu_route_attempt WHERE route_code = 'text'"), "?nul ???( ??? ???? ok \xc3\xa9",
	'NUL and bytes that are not UTF-8 are kept as ? in the excerpt');
is(sql('SELECT max(octet_length(response_excerpt)) FROM iu_route_attempt'), 1024,
	'no excerpt of an answer is longer than 1024 bytes');
is(scalar $peer->requests('/'), 0, 'nothing is sent where the certificate is wrong');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE attempt_no > 1"), 0,
	'what is to be tried again in an hour has had one attempt');

note 'the sender';
cmp_ok(peak_memory($pid) - $before, '<', 64 * 1024,
	'answers of 200 MB and without end cost the sender less than 64 MB');
is(IU::Cluster->wait_for_worker($node, 'sender'), $pid, 'no failure ends the process of the sender');
emit(1);
becomes("SELECT count(*) = 3 FROM iu_route_attempt WHERE route_code = 'well' AND status = 'sent'",
	'the next delivery to the receiver that behaves is sent');

note 'many at once';
sql("SELECT fn_iu_route_retire(route_code, 'tester', 'test') FROM iu_outbound_route WHERE route_code <> 'well'");
$before = peak_memory($pid);
add('floods', "$origin{raw}/endless");
emit(1) foreach 1 .. 40;
becomes("SELECT count(*) = 40 FROM iu_route_dead_letter WHERE route_code = 'floods'",
	'each of forty answers without end becomes a dead letter');
becomes("SELECT count(*) = 43 FROM iu_route_attempt WHERE route_code = 'well' AND status = 'sent'",
	'forty deliveries are sent beside forty answers without end');
cmp_ok(peak_memory($pid) - $before, '<', 128 * 1024, 'forty answers without end cost the sender less than 128 MB');

note 'large answers, all under way at the same time';
IU::Cluster->reload($node, 'iu_core.max_response_size' => '4MB');
retire('floods');
$before = peak_memory($pid);
add('together', "$origin{raw}/together?100");
emit(1) foreach 1 .. 100;
becomes("SELECT count(*) = 100 FROM iu_route_attempt WHERE route_code = 'together' AND status = 'sent'",
	'a hundred answers of 3 MB, none of which ends before all are there, are sent');
is(sql("SELECT DISTINCT response_excerpt = repeat('x', 1024) FROM iu_route_attempt WHERE route_code = 'together'"), 't',
	'of each answer of 3 MB the first 1024 bytes are kept');
cmp_ok(peak_memory($pid) - $before, '<', 64 * 1024, 'a hundred answers of 3 MB cost the sender less than 64 MB');

note 'a body that is too large to be sent';
IU::Cluster->reload($node, 'iu_core.max_request_size' => '1kB');
emit(1, payload => "jsonb_build_object('n', repeat('x', 2000))");
becomes("SELECT EXISTS (SELECT FROM iu_route_dead_letter WHERE route_code = 'well' AND failure_code"
	  . " = 'request_too_large')", 'a body that is too large to be sent becomes a dead letter at once');

note 'the handbook says the same';
# A row is code, what it means, who minds it, what follows, what to do.
my %told = slurp_file('../docs/handbook.md')
  =~ /^\| `(\w+)` \|[^|]*\| \w+ \| (?:retry, after a 2xx )?(retry|obey|pace|disable|give_up|hold)\b/mg;
my %done;
foreach my $route (grep { $_ ne 'interims' } keys %fate)
{
	my (undef, $code, $rule) = @{ $fate{$route} };
	$done{$code} = $rule if $code ne '';
}
is($told{http_429}, 'pace', 'the handbook says that a 429 slows the route');
foreach my $code (sort keys %done)
{
	my $hundred = $code =~ s/_(\d)\d\d$/_$1xx/r;
	my $row = $told{$code} ? $code : $told{$hundred} ? $hundred : 'http_other';
	is($told{$row}, $done{$code}, "the handbook says of $code what the sender does: $done{$code}");
}

$node->stop;
$raw->stop;
done_testing();
