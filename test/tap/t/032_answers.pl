# What a receiver can do to a sender: each failure gets its code and what
# follows from it, costs neither memory nor time without bound, and the same
# process goes on with the next delivery. The server is on a network of the
# test's own (IU::Wire), for its names and its certificates.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IU::Peer;
use IU::Cluster;
use IU::Receiver;
use IU::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $raw = IU::Receiver->start;
my $peer = IU::Peer->start('receiver');
my $folder = PostgreSQL::Test::Utils::tempdir;
my $closed_port = do { IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport };

# ---------- certificates ----------

sub openssl { return system_log('openssl', @_) == 0 || die "openssl @_ failed\n" }

# A key and a certificate, by the authority unless it signs itself.
sub certificate
{
	my ($file, $name, $start, $end) = @_;
	openssl(qw(req -newkey rsa:2048 -nodes -subj), "/CN=$name", '-keyout', "$folder/$file.key", '-out', "$folder/$file.csr");
	append_to_file("$folder/$file.ext", "subjectAltName=DNS:$name\n");
	openssl(qw(ca -batch -notext -config), "$folder/ca.cnf", '-in', "$folder/$file.csr", '-out', "$folder/$file.crt", '-extfile', "$folder/$file.ext",
		'-startdate', $start // '20200101000000Z', '-enddate', $end // '20400101000000Z');
	return { key => slurp_file("$folder/$file.key"), cert => slurp_file("$folder/$file.crt") };
}

append_to_file("$folder/ca.cnf", <<"EOT");
[ca]
default_ca = test
[test]
database = $folder/index
new_certs_dir = $folder
serial = $folder/serial
private_key = $folder/ca.key
certificate = $folder/ca.crt
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
EOT
append_to_file("$folder/index", '');
append_to_file("$folder/serial", "01\n");
openssl(qw(req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=authority), '-keyout', "$folder/ca.key", '-out', "$folder/ca.crt");
openssl(qw(req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=self.test -addext subjectAltName=DNS:self.test), '-keyout', "$folder/self.key", '-out', "$folder/self.crt");
my $tls = $peer->control('tls', { names => {
	'good.test'    => certificate('good', 'good.test'),
	'wrong.test'   => certificate('wrong', 'other.test'),
	'expired.test' => certificate('expired', 'expired.test', '20200101000000Z', '20210101000000Z'),
	'early.test'   => certificate('early', 'early.test', '20390101000000Z'),
	'self.test'    => { key => slurp_file("$folder/self.key"), cert => slurp_file("$folder/self.crt") } } })->{port};

# ---------- the server ----------

my $wire = IU::Wire->new(0);
$wire->trust("$folder/ca.crt");
$wire->name($_, ['8.8.8.8']) foreach qw(good.test wrong.test expired.test early.test self.test);
$wire->name('nowhere.test', []);
$wire->name('twice.test', ['8.8.8.8', '8.8.4.4']);
my %origin = (raw => $raw->origin, peer => $peer->url, closed => "http://127.0.0.1:$closed_port", nowhere => 'http://nowhere.test',
	twice => "http://twice.test:$closed_port", plain => 'https://' . $peer->address, map { $_ => "https://$_.test:$tls" } qw(good wrong expired early self));
my $node = IU::Cluster->init_node('answers', {},
	'iu_core.allowed_origins' => join(', ', values %origin), 'iu_core.allowed_networks' => '127.0.0.0/8', 'iu_core.max_response_size' => '1MB',
	'iu_core.connect_timeout' => '5s');
$wire->start($node);
IU::Cluster->install($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub becomes { my ($query, $name) = @_; return ok($node->poll_query_until('postgres', $query), $name) }
sub emit { return sql("SELECT fn_iu_emit_event('version_applied', 'A/1', gen_random_uuid(), 'tester')") }

# Live; what is tried again is so in an hour.
sub add_route
{
	my ($route, $url) = @_;
	my $timeout = $url =~ m{/(?:hang|half|drip|slow|announced)} ? 700 : 20000;
	sql("SELECT fn_iu_route_add('$route', 'version_applied', '$url', 'tester', 'test', p_timeout_ms => $timeout, p_retry_policy => '{\"max_attempts\": 3, \"base_s\": 3600, \"jitter\": 0, \"circuit_failures\": 0}');
	     SELECT fn_iu_route_allow('$route', 'tester', 'test'); SELECT fn_iu_route_arm('$route', 'tester', 'test')");
	return;
}

# The most memory that the process ever had, kB.
sub peak { my ($pid) = @_; return slurp_file("/proc/$pid/status") =~ /^VmHWM:\s*(\d+) kB/m ? $1 : die 'no VmHWM' }

sql("SELECT fn_iu_switch_set(k, 'true', 'tester', 'test') FROM unnest(ARRAY['iu_core.routes_master_enabled', 'iu_core.route_worker_enabled']) k");
IU::Cluster->open_gate($node, 'iu_core.delivery_enabled', 3600);
my $pid = IU::Cluster->wait_for_worker($node, 'sender');
add_route('well', "$origin{good}/well");
emit();
becomes("SELECT EXISTS (SELECT FROM iu_route_attempt WHERE status = 'sent')", 'over TLS, with a certificate that an authority vouches for');
is_deeply([ map { $_->{method} } $peer->requests('/well') ], ['POST'], 'it arrives');
my $before = peak($pid);

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
	(map { ("s$_" => [ "$origin{raw}/status?$_", "http_$_", 'retry' ]) } 300, 301, 304, 307, 400, 401, 403, 404, 405, 408, 409, 413, 422, 425, 451, 500, 501, 502, 504, 599),
	s410            => [ "$origin{raw}/status?410",     'http_410',           'disable' ],
	s429            => [ "$origin{raw}/status?429",     'http_429',           'obey' ],
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
	ELSE (SELECT CASE WHEN due_at > clock_timestamp() + interval '90 min' THEN 'obey' ELSE 'retry' END FROM iu_route_retry t WHERE t.route_code = a.route_code) END};

add_route($_, $fate{$_}[0]) foreach sort keys %fate;
emit();
foreach my $route (sort keys %fate)
{
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM iu_route_attempt WHERE route_code = '$route')");
	is(sql("SELECT coalesce(failure_code, '') || ' ' || coalesce($follows, '') FROM iu_route_attempt a WHERE route_code = '$route'"),
		"$fate{$route}[1] $fate{$route}[2]", $route)
	  or diag(sql("SELECT a FROM iu_route_attempt a WHERE route_code = '$route'"));
}
is(sql("SELECT count(*) FROM iu_route_attempt WHERE status = 'failed' AND failure_code NOT LIKE 'http\\_%' AND coalesce(failure_detail, '') = ''"), 0, 'what has no status has words');
like(sql("SELECT failure_detail FROM iu_route_attempt WHERE route_code = '$_->[0]'"), $_->[1], "$_->[0]: in words")
  foreach [ 'wrong-name', qr/certificate subject name|subjectAltName|alternative certificate/i ], [ 'expired', qr/expired/ ], [ 'self-signed', qr/self.signed/ ],
  [ 'early', qr/not yet valid/ ], [ 'refused', qr/Connection refused/ ], [ 'dns', qr/could not be resolved/ ], [ 'hang', qr/within 700 ms/ ], [ 'headers', qr/larger than 64 kB/ ],
  [ 'flood', qr/larger than iu_core.max_response_size \(1024 kB\)/ ];
is(sql("SELECT response_excerpt FROM iu_route_attempt WHERE route_code = 'text'"), "?nul ???( ??? ???? ok \xc3\xa9", 'NUL and what is not UTF-8 is kept as text');
is(sql('SELECT max(octet_length(response_excerpt)) FROM iu_route_attempt'), 1024, 'excerpts are short');
is(scalar $peer->requests('/'), 0, 'nothing was sent where the certificate was wrong');
is(sql("SELECT count(*) FROM iu_route_attempt WHERE attempt_no > 1"), 0, 'one attempt each so far');

note 'the sender';
cmp_ok(peak($pid) - $before, '<', 64 * 1024, 'its memory is bounded: the answers were of 200 MB and without end');
is(IU::Cluster->wait_for_worker($node, 'sender'), $pid, 'it is the same process');
emit();
becomes("SELECT count(*) = 3 FROM iu_route_attempt WHERE route_code = 'well' AND status = 'sent'", 'and the next delivery goes out');

note 'many at once';
sql("SELECT fn_iu_route_retire(route_code, 'tester', 'test') FROM iu_outbound_route WHERE route_code <> 'well'");
$before = peak($pid);
add_route('floods', "$origin{raw}/endless");
emit() foreach 1 .. 40;
becomes("SELECT count(*) = 40 FROM iu_route_dead_letter WHERE route_code = 'floods'", 'forty answers without end');
becomes("SELECT count(*) = 43 FROM iu_route_attempt WHERE route_code = 'well' AND status = 'sent'", 'and forty deliveries beside them');
cmp_ok(peak($pid) - $before, '<', 128 * 1024, 'at a megabyte each');

note 'large answers, all under way at the same time';
IU::Cluster->reload($node, 'iu_core.max_response_size' => '4MB');
sql("SELECT fn_iu_route_retire('floods', 'tester', 'test')");
$before = peak($pid);
add_route('together', "$origin{raw}/together?100");
emit() foreach 1 .. 100;
becomes("SELECT count(*) = 100 FROM iu_route_attempt WHERE route_code = 'together' AND status = 'sent'", 'a hundred answers of 3 MB, none of which ends before all are there');
is(sql("SELECT DISTINCT response_excerpt = repeat('x', 1024) FROM iu_route_attempt WHERE route_code = 'together'"), 't', 'of each the beginning is kept');
cmp_ok(peak($pid) - $before, '<', 64 * 1024, 'and only that');

note 'a body that is too large to be sent';
IU::Cluster->reload($node, 'iu_core.max_request_size' => '1kB');
sql("SELECT fn_iu_emit_event('version_applied', 'A/1', gen_random_uuid(), 'tester', jsonb_build_object('n', repeat('x', 2000)))");
becomes("SELECT EXISTS (SELECT FROM iu_route_dead_letter WHERE route_code = 'well' AND failure_code = 'request_too_large')", 'is given up at once');

note 'the handbook says the same';
my %told = slurp_file('../docs/handbook.md') =~ /^\| `(\w+)` \|[^|]*\| (retry|obey|disable|give up|held)\b/mg;
my %done = map { my (undef, $code, $rule) = @$_; $code => $rule =~ tr/_/ /r } grep { $_->[1] ne '' } map { $fate{$_} } grep { $_ ne 'interims' } keys %fate;
foreach my $code (sort keys %done)
{
	my $row = $told{$code} ? $code : $code =~ s/_(\d)\d\d$/_$1xx/r;
	is($told{$row}, $done{$code}, "$code: $done{$code}");
}

$node->stop;
$raw->stop;
done_testing();
