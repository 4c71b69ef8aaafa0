# Certificates of routes: a receiver that wants one, and whose own comes from an
# authority that nobody else trusts. What is delivered with the right files, what
# is not sent with others, and that nothing but these files is read. The server is
# on a network of the test's own.
use strict;
use warnings;

use File::Spec;
use IU::Certificate;
use IU::Cluster;
use IU::Gate;
use IU::Peer;
use IU::Routes;
use IU::SQL;
use IU::Wire;
use List::Util qw(uniq);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'there is no openssl, which makes the certificates'
  if system('openssl version >/dev/null 2>&1') != 0;

my ($theirs, $ours, $foreign) = map { IU::Certificate->authority } 1 .. 3;
my $peer = IU::Peer->start('http2');
my $port = $peer->control('listen', { names => { 'partner.test' => $theirs->sign('partner', 'partner.test') },
	clients => slurp_file($ours->file) })->{port};
my $directory = PostgreSQL::Test::Utils::tempdir;

my $wire = IU::Wire->new(0);
$wire->name('partner.test', ['127.0.0.1']);
my $node = IU::Cluster->init_node('certificates', { installed => 1 },
	'iu_core.certificate_directory' => $directory,
	'iu_core.allowed_origins' => "https://partner.test:$port", 'iu_core.allowed_networks' => '127.0.0.0/8');
$wire->start($node);
IU::Cluster->install($node);
talk_to($node);
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);

# ---- files: written aside and renamed, as whoever replaces one should

sub put
{
	my ($file, $text, $mode) = @_;
	append_to_file("$directory/.new", $text);
	chmod($mode // 0600, "$directory/.new");
	rename("$directory/.new", "$directory/$file") or die "$file: $!";
	return;
}
sub put_pair { my ($name, $pair) = @_; put("$name.crt", $pair->{cert}, 0644); put("$name.key", $pair->{key}); return }

my %pair = map { ($_ => $ours->sign($_, $_)) } qw(first second);
my $late = $ours->sign('late', 'late', '20200101000000Z', '20210101000000Z');
put('their-ca.crt', slurp_file($theirs->file), 0644);
put('foreign-ca.crt', slurp_file($foreign->file), 0644);
put_pair('us', $pair{first});
put_pair('other', $pair{second});
put_pair('foreign', $foreign->sign('stranger', 'stranger'));

# ---- routes

sub route
{
	my ($route, $type, %names) = @_;
	add_route($route, "https://partner.test:$port/$route", type => $type, timeout_ms => 60000, idle => 1,
		retry => \%IU::Routes::ONCE);
	my $set = join ', ', "'$route', 'tester', 'test'", map { "p_${_}_name => '$names{$_}'" } keys %names;
	sql("SELECT fn_iu_route_set($set)") if %names;
	sql("SELECT fn_iu_route_allow('$route', 'tester', 'test'); SELECT fn_iu_route_arm('$route', 'tester', 'test')");
	return;
}
sub arrived { my ($route) = @_; return grep { $_->{headers}{':path'} eq "/$route" } @{ $peer->control('streams', {}) } }
sub sent { my ($route, $count, $name) = @_; return becomes('SELECT ' . attempts($route, 'sent') . " = $count", $name) }

sub fails
{
	my ($route, $type, $code, $name) = @_;
	emit(1, type => $type);
	becomes('SELECT ' . attempts($route, 'failed') . ' = 1', "$name: the attempt fails");
	like(sql("SELECT failure_code FROM iu_route_attempt WHERE route_code = '$route'"), $code, "$name: its code");
	is(scalar arrived($route), 0, "$name: nothing arrives");
	sql("SELECT fn_iu_route_retire('$route', 'tester', 'test')");
	return;
}

route('right', 'version_applied', ca => 'their-ca', client => 'us');
emit(1);
sent('right', 1, 'with both files an event is delivered');
is_deeply([ map { $_->{client} } arrived('right') ], ['first'], 'and the receiver has seen the certificate');

route('no-ca', 'collection_created', client => 'us');
fails('no-ca', 'collection_created', qr/^tls_failed$/, 'a private authority that the route does not name');
route('no-client', 'collection_created', ca => 'their-ca');
# A receiver of TLS 1.3 says what it minds after our part of the handshake, and may be gone before we read it.
fails('no-client', 'collection_created', qr/^(tls_failed|connection_lost)$/, 'a route that shows no certificate');
route('wrong-client', 'collection_created', ca => 'their-ca', client => 'foreign');
fails('wrong-client', 'collection_created', qr/^(tls_failed|connection_lost)$/, 'a certificate of another authority');
$wire->trust($theirs->file);
route('wrong-ca', 'collection_created', ca => 'foreign-ca', client => 'us');
fails('wrong-ca', 'collection_created', qr/^tls_failed$/, 'another authority, though the server trusts this one');

# ---- two routes, one origin

sql("SELECT fn_iu_route_pause('right', 'tester', 'test')");
route('beside', 'version_applied', ca => 'their-ca', client => 'other');
emit(40);
sql("SELECT fn_iu_route_resume('right', 'tester', 'test')");
sent('beside', 40, 'a second route to the same origin delivers');
sent('right', 41, 'and so does the first, at the same time');
emit(40);
sent('beside', 80, 'once more, with connections that are there');
sent('right', 81, 'once more, of the first route');
is_deeply([ uniq map { $_->{client} } arrived('beside') ], ['second'], 'each shows its own certificate');
is_deeply([ uniq map { $_->{client} } arrived('right') ], ['first'], 'and no other');
{
	my %of = map { ($_->{connection} => $_->{client}) } arrived('beside');
	is(scalar(grep { exists $of{ $_->{connection} } } arrived('right')), 0, 'no connection is used by both');
}
retire('beside');

# ---- other files, without a restart

my $pid = sql(q(SELECT pid FROM iu_core.worker_status WHERE role = 'sender'));
put_pair('us', $pair{second});
emit(1);
sent('right', 82, 'an event is delivered after the files were replaced');
is((arrived('right'))[-1]{client}, 'second', 'the next event goes by the new certificate');
is(sql(q(SELECT pid FROM iu_core.worker_status WHERE role = 'sender')), $pid, 'sent by the same process');

# ---- files that are not used: the event waits, and the receiver hears nothing

sub restore { put('their-ca.crt', slurp_file($theirs->file), 0644); put_pair('us', $pair{first}); return }

sub held
{
	my ($name, $says, $spoil) = @_;
	$spoil->();
	my $sentence = sql("SELECT concat(r ->> 'code', ': ', r ->> 'sentence') FROM iu.fn_iu_route_refusal('right') r");
	like($sentence, qr/^certificate_missing: .*$says/, $name);
	unlike($sentence, qr/\Q$directory\E|BEGIN|MII/, "$name: neither the directory nor what is in the file is told");
	system('rm', '-rf', map { "$directory/$_" } qw(us.crt us.key their-ca.crt));
	restore();
	is(sql("SELECT iu.fn_iu_route_refusal('right') ->> 'code'"), '', "$name: mended");
	return;
}

# What OpenSSL says of a file, and nobody where the server has none.
my $blind = trouble() =~ /this server has no OpenSSL/;
sub judged
{
  SKIP: { skip 'the server was built without OpenSSL', 3 if $blind; held(@_); }
	return;
}

my $elsewhere = PostgreSQL::Test::Utils::tempdir;
append_to_file("$elsewhere/us.crt", $pair{first}{cert});
append_to_file("$elsewhere/us.key", $pair{first}{key});
chmod(0600, "$elsewhere/us.key");
system_or_bail('openssl', qw(rsa -aes256 -passout pass:secret -in), "$elsewhere/us.key", '-out', "$elsewhere/locked");
restore();
held('a key that is not there', 'file "us.key" is not there', sub { unlink "$directory/us.key" });
held('a certificate that is not there', 'file "us.crt" is not there', sub { unlink "$directory/us.crt" });
held('authorities that are not there', 'file "their-ca.crt" is not there', sub { unlink "$directory/their-ca.crt" });
held('a key that its group may read', '"us.key" has a key that others may', sub { chmod 0640, "$directory/us.key" });
held('a key that all may read', '"us.key" has a key that others may', sub { chmod 0604, "$directory/us.key" });
held('a file that the server may not read', '"us.crt" cannot be read: Permission denied',
	sub { chmod 0, "$directory/us.crt" });
judged('the key of another certificate', 'belongs to another certificate than the one in file "us.crt"',
	sub { put('us.key', $pair{second}{key}) });
judged('a certificate that is over', 'in file "us.crt" ended at 2021-01-01', sub { put_pair('us', $late) });
judged('an authority that is over', 'in file "their-ca.crt" ended at 2021-01-01',
	sub { put('their-ca.crt', $late->{cert}, 0644) });
held('a link to a certificate elsewhere', '"us.crt" is a link that leads out of',
	sub { unlink "$directory/us.crt"; symlink "$elsewhere/us.crt", "$directory/us.crt" });
held('a link to a key elsewhere', '"us.key" is a link that leads out of',
	sub {
		unlink "$directory/us.key";
		symlink File::Spec->abs2rel("$elsewhere/us.key", $directory), "$directory/us.key";
	});
held('a directory', '"us.crt" is not a regular file',
	sub { unlink "$directory/us.crt"; mkdir "$directory/us.crt" });
held('a pipe that nobody writes into', '"us.crt" is not a regular file',
	sub { unlink "$directory/us.crt"; POSIX::mkfifo("$directory/us.crt", 0600) });
held('a file without a certificate', '"us.crt" has no certificate in PEM', sub { put('us.crt', "nothing\n", 0644) });
held('an empty file', '"us.crt" has no certificate in PEM', sub { put('us.crt', '', 0644) });
judged('a certificate that is cut', '"us.crt" has no certificate in PEM',
	sub { put('us.crt', substr($pair{first}{cert}, 0, 400), 0644) });
judged('a second certificate that is cut', '"us.crt" has no certificate in PEM',
	sub { put('us.crt', $pair{first}{cert} . substr($pair{second}{cert}, 0, 400), 0644) });
held('a file with a NUL', '"us.crt" is not in PEM', sub { put('us.crt', $pair{first}{cert} . "\0", 0644) });
held('a large file', '"their-ca.crt" is larger than 64 kB',
	sub { put('their-ca.crt', slurp_file($theirs->file) . "\n" x 65536, 0644) });
judged('a key with a passphrase', '"us.key" has not one private key in PEM without a passphrase',
	sub { put('us.key', slurp_file("$elsewhere/locked")) });
held('a key that is none', '"us.key" has not one private key', sub { put('us.key', $pair{first}{cert}) });
{
	mkdir "$directory/..now";
	rename("$directory/us.$_", "$directory/..now/us.$_") foreach qw(crt key);
	symlink('..now', "$directory/..data");
	symlink("..data/us.$_", "$directory/us.$_") foreach qw(crt key);
	is(sql("SELECT iu.fn_iu_route_refusal('right') ->> 'code'"), '',
		'links that stay within the directory are followed');
	unlink "$directory/us.$_" foreach qw(crt key);
	restore();
}

# ---- what health says before and after

sub in_days { return POSIX::strftime('%Y%m%d%H%M%SZ', gmtime(time + 86400 * $_[0])) }
sub trouble
{
	return sql(q(SELECT concat_ws(' ', severity, name, trouble) FROM v_iu_trouble WHERE about = 'certificate'));
}
sub health_says { my ($says, $name) = @_; return becomes("SELECT message ~ '$says' FROM iu_core.health()", $name) }

SKIP: {
	skip 'the server was built without OpenSSL', 12 if $blind;

	is(trouble(), '', 'of certificates that last nothing is said');
	my $soon = $ours->sign('soon', 'soon', in_days(-300), in_days(20));
	put_pair('us', $soon);
	like(trouble(),
		qr/^warning right file "us.crt" has a certificate that ends at \d{4}-\d\d-\d\d [^;]*: put the next one/,
		'of a certificate that ends in 20 days there is a warning');
	health_says('route right: file "us.crt" has a certificate that ends at', 'health tells of it');
	is(sql("SELECT status || ' ' || about FROM iu_core.findings() WHERE finding ~ 'us.crt'"), 'WARNING certificate',
		'as a warning');
	is(sql("SELECT iu.fn_iu_route_refusal('right') ->> 'code'"), '', 'and holds nothing yet');
	put_pair('us', $ours->sign('brief', 'brief', in_days(-1), in_days(5)));
	is(trouble(), '', 'a certificate for six days is to be replaced in its last two');
	put('their-ca.crt', $late->{cert} . slurp_file($theirs->file), 0644);
	like(trouble(), qr/^warning right file "their-ca.crt" has a certificate that ended at 2021[^;]*: take it out/,
		'of one that has ended beside one that lasts there is a warning');
	restore();
	put_pair('us', $late);
	like(trouble(), qr/^critical right the certificate in file "us.crt" ended at 2021/,
		'of a certificate that has ended health is red');
	health_says('route right: the certificate in file "us.crt" ended at', 'health tells of it too');
	is(sql("SELECT status || ' ' || about FROM iu_core.findings() WHERE finding ~ 'us.crt'"), 'CRITICAL certificate',
		'in red');
	like(sql("SELECT fn_iu_route_worker_health() -> 'problems'"), qr/us\.crt.*ended at/,
		'so does the health of delivery');
	sql("SELECT fn_iu_route_pause('right', 'tester', 'test')");
	is(trouble(), '', 'of a route that is not live nothing is said');
	sql("SELECT fn_iu_route_resume('right', 'tester', 'test')");
	restore();
}
if ($blind)
{
	like(trouble(), qr/^notice right when a certificate in file "$_" ends cannot be told: this server has no OpenSSL/m,
		"without OpenSSL it is told that nobody knows when $_ ends") foreach 'their-ca.crt', 'us.crt';
	is(sql("SELECT status FROM iu_core.findings() WHERE about = 'certificate'"), '', 'which is no trouble of health');
	put('other.key', $pair{first}{key});
	route('mixed', 'collection_created', ca => 'their-ca', client => 'other');
	fails('mixed', 'collection_created', qr/^tls_failed$/, 'the key of another certificate, without OpenSSL');
}

# ---- an event that waits for its file

unlink "$directory/us.key";
my $before = scalar arrived('right');
emit(1);
becomes("SELECT code = 'certificate_missing' AND held = 1 FROM v_iu_route_held", 'the event is held');
is(sql(q(SELECT held_code || ' ' || ca_name || ' ' || client_name FROM v_iu_route_health WHERE route_code = 'right')),
	'certificate_missing their-ca us', 'v_iu_route_health says so, and has the names');
is(scalar arrived('right'), $before, 'nothing arrives meanwhile');
put_pair('us', $pair{first});
sent('right', 83, 'it goes out within a minute after the key is there');
is(sql('SELECT count(*) FROM iu_route_attempt WHERE route_code = \'right\' AND failure_code IS NOT NULL'), '0',
	'and no attempt was lost by it');
$node->append_conf('postgresql.conf', "iu_core.certificate_directory = ''");
$node->reload;
becomes("SELECT iu.fn_iu_route_refusal('right') ->> 'sentence' ~ 'certificate_directory is empty'",
	'without a directory no route has a certificate');
unlike(slurp_file($node->logfile), qr/BEGIN (?:RSA )?PRIVATE|BEGIN CERT/, 'nothing of the files is in the server log');
$node->stop;
done_testing();
