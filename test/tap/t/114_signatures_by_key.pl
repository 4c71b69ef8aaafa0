# Signatures v1a, by Ed25519: what tweetnacl, a library that is not ours, verifies with
# the public key, beside v1, and what happens when a key is replaced.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IU::Cluster;
use IU::Gate;
use IU::Receiver;
use IU::Routes;
use IU::Signature;
use IU::SQL;
use Test::More;

my $receiver = IU::Receiver->start;
my $node = IU::Cluster->new_installed('keys', 'iu_core.allowed_origins' => $receiver->origin,
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);

my $refused = ask('SELECT iu_core.webhook_key() IS NULL');
plan skip_all => 'the server was built without OpenSSL' if $refused =~ /cannot make signatures by Ed25519/;

sub verdict
{
	my ($key, $request, $body) = @_;
	return $ENV{IU_STANDARDWEBHOOKS} ? library_verdict($key, $request->{headers}, $body // $request->{body}) : undef;
}

sub verified
{
	my ($key, $request, $expected, $name, $body) = @_;
  SKIP:
	{
		skip 'npm is not installed', 1 unless $ENV{IU_STANDARDWEBHOOKS};
		is(verdict($key, $request, $body), $expected, $name);
	}
	return;
}

sub deliver
{
	my $before = $receiver->arrived('/ok');
	emit(1, payload => q('{"text": "caf\u00e9", "n": 1.50}'));
	becomes('SELECT NOT EXISTS (SELECT FROM v_iu_event_backlog WHERE waiting + retrying + leased > 0)',
		'an event is delivered');
	return ($receiver->arrived('/ok'))[$before];
}

sub add_key { return sql("SELECT fn_iu_route_key_add('hook', 'tester', 'test') ->> 'public_key'") }

my $secret = add_route('hook', $receiver->origin . '/ok', timeout_ms => 60000);
my $first = add_key();
like($first, qr{^whpk_[A-Za-z0-9+/]{43}=$}, 'a new key has a public key of 32 bytes');
is(sql("SELECT public_key FROM fn_iu_route_public_keys('hook')"), $first, 'the public key can be read again');
is(sql("SELECT count(*) FROM dot_iu_command_run r WHERE r::text LIKE '%whsk%'"), '0', 'no key is in the log of runs');

my $request = deliver();
like($request->{headers}{'webhook-signature'}, qr{^(?=.*(^| )v1,)(?=.*(^| )v1a,[A-Za-z0-9+/]{86}==( |$))},
	'a delivery has a signature by the secret and one by the key');
is(own_verdict($secret, @$request{qw(headers body)}), 'valid', 'the signature by the secret is valid');
verified($first, $request, 'valid', 'the signature by the key is valid');
verified($first, $request, 'No matching signature found', 'over another body it is not', $request->{body} . ' ');
verified('whpk_' . 'A' x 43 . '=', $request, 'No matching signature found', 'nor with another key');

note 'a key that is replaced';
my $second = add_key();
$request = deliver();
verified($_, $request, 'valid', 'while one key replaces another both are valid') foreach $first, $second;
sql("UPDATE iu_route_secret SET valid_from = valid_from - interval '1 minute' WHERE secret LIKE 'whsec%'");
sql("SELECT fn_iu_route_secret_end('hook', (SELECT max(valid_from) FROM fn_iu_route_public_keys('hook')), 'tester',"
	  . " 'test')");
$request = deliver();
verified($first, $request, 'No matching signature found', 'a key that was ended signs no more');
verified($second, $request, 'valid', 'the key that replaced it does');
unlike($request->{headers}{'webhook-signature'}, qr/(^| )v1,/, 'a route may be signed by a key alone');

is(sql("SELECT count(*) FROM iu_route_attempt WHERE status <> 'sent'"), '0', 'nothing failed');
$node->stop;
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/whsk_[A-Za-z0-9]/, 'no key is in the server log');
done_testing();
