# Signatures of real deliveries, judged by the reference library of Standard
# Webhooks, and by a judge of this test's own that must say the same; where npm
# is not installed (PEERS=light) by that one alone.
use strict;
use warnings;

use IU::Cluster;
use IU::Gate;
use IU::Receiver;
use IU::Routes;
use IU::Signature;
use IU::SQL;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Receiver->start;
my $node = IU::Cluster->new_installed('signatures', 'iu_core.allowed_origins' => $receiver->origin,
	'iu_core.allowed_networks' => '127.0.0.0/8');

talk_to($node);

# ---------- the judges ----------

sub verdict_is
{
	my ($secret, $headers, $body, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(own_verdict($secret, $headers, $body), $expected, $name);
	is(library_verdict($secret, $headers, $body), $expected, "$name, says the library") if $ENV{IU_STANDARDWEBHOOKS};
	return;
}
note $ENV{IU_STANDARDWEBHOOKS} ? 'with the reference library' : 'npm is not installed: without the reference library';

# ---------- deliveries ----------

my $payload = q({"text": "caf\u00e9 \ud83d\ude00 \"quoted\" \\\\ \u2028", "n": 1.50, "none": null});
sub deliver
{
	my ($path) = @_;
	my $before = $receiver->arrived($path);
	sql("SELECT fn_iu_emit_event('version_applied', 'A/\xc3\xa9', gen_random_uuid(), 'tester', '$payload')");
	becomes("SELECT NOT EXISTS (SELECT FROM v_iu_event_backlog WHERE waiting + retrying + leased > 0)",
		"an event is delivered to $path");
	return ($receiver->arrived($path))[$before];
}

switches_on();
IU::Gate->open($node, 'iu_core.delivery_enabled', 3600);
my $old = add_route('signed', $receiver->origin . '/echo', timeout_ms => 60000);

note 'one secret';
my $first = deliver('/echo');
my ($headers, $body) = @$first{qw(headers body)};
verdict_is($old, $headers, $body, 'valid', 'the signature of a delivery is valid with the secret of its route');
verdict_is('whsec_' . encode_base64('k' x 32, ''), $headers, $body, 'No matching signature found',
	'the signature of a delivery is not valid with another secret');

note 'manipulated';
verdict_is($old, $headers, $body =~ s/1\.50/1.51/r, 'No matching signature found',
	'a signature is not valid for a changed body');
verdict_is($old, $headers, "$body ", 'No matching signature found', 'a signature is not valid for a longer body');
verdict_is($old, $headers, '', 'No matching signature found', 'a signature is not valid for no body');
verdict_is($old, { %$headers, 'webhook-id' => "$headers->{'webhook-id'}0" }, $body, 'No matching signature found',
	'a signature is not valid for another webhook-id');
verdict_is($old, { %$headers, 'webhook-timestamp' => $headers->{'webhook-timestamp'} + 1 }, $body,
	'No matching signature found', 'a signature is not valid for another webhook-timestamp');
verdict_is($old, { %$headers, 'webhook-timestamp' => time - 400 }, $body, 'Message timestamp too old',
	'a timestamp of 400 s ago is too old');
verdict_is($old, { %$headers, 'webhook-timestamp' => time + 400 }, $body, 'Message timestamp too new',
	'a timestamp in 400 s is too new');
verdict_is($old, { %$headers, 'webhook-signature' => $headers->{'webhook-signature'} =~ s/^v1,/v2,/r }, $body,
	'No matching signature found', 'a signature of version 2 is not taken for one of version 1');
foreach my $name (qw(webhook-id webhook-timestamp webhook-signature))
{
	my %less = %$headers;
	delete $less{$name};
	verdict_is($old, \%less, $body, 'Missing required headers', "a delivery without $name is not accepted");
}

note 'rotation';
my $new = sql("SELECT fn_iu_route_secret_add('signed', 'tester', 'test') ->> 'secret'");
isnt($new, $old, 'a second secret of a route is another one');
my $during = deliver('/echo');
verdict_is($old, @$during{qw(headers body)}, 'valid', 'during a rotation the signature is valid with the old secret');
verdict_is($new, @$during{qw(headers body)}, 'valid', 'during a rotation the signature is valid with the new secret');
is(scalar(split / /, $during->{headers}{'webhook-signature'}), 2, 'during a rotation a delivery has two signatures');
is(sql("SELECT fn_iu_route_secret_end('signed', (SELECT max(valid_from) FROM iu_route_secret), 'tester', 'test')"
	  . " ->> 'ended'"), 1, 'ending the old secret ends one secret');
my $after = deliver('/echo');
verdict_is($new, @$after{qw(headers body)}, 'valid', 'after a rotation the signature is valid with the new secret');
verdict_is($old, @$after{qw(headers body)}, 'No matching signature found',
	'after a rotation the signature is not valid with the old secret');

note 'each attempt of a delivery';
retire('signed');
add_route('again', $receiver->origin . '/status?500', secret_ref => 'signed',
	retry => { max_attempts => 3, base_s => 0.001 }, timeout_ms => 60000);
deliver('/status?500');
my @attempts = $receiver->arrived('/status?500');
is(scalar @attempts, 3, 'a delivery that fails is attempted three times');
my %ids = map { $_->{headers}{'webhook-id'} => 1 } @attempts;
my %bodies = map { $_->{body} => 1 } @attempts;
is_deeply([ scalar keys %ids, scalar keys %bodies ], [ 1, 1 ],
	'every attempt of a delivery has the same webhook-id and the same body');
verdict_is($new, @$_{qw(headers body)}, 'valid', 'every attempt of a delivery has a valid signature') foreach @attempts;

# Where the server was built without OpenSSL, its HMAC lives in a memory context
# of the library's choice. A context that is reset between two messages is found
# only by a process that signs more than one.
note 'one sender, many messages';
retire('again');
add_route('many', $receiver->origin . '/ok', secret_ref => 'signed', timeout_ms => 60000);
foreach my $batch (1 .. 5)
{
	sql("SELECT fn_iu_emit_event('version_applied', 'A', gen_random_uuid(), 'tester',"
		  . " jsonb_build_object('text', repeat('x', 100 * n))) FROM generate_series(1, 10) n");
	becomes("SELECT NOT EXISTS (SELECT FROM v_iu_event_backlog WHERE waiting + retrying + leased > 0)",
		"batch $batch of ten events is delivered");
}
my %verdicts;
$verdicts{ own_verdict($new, @$_{qw(headers body)}) }++ foreach $receiver->arrived('/ok');
is_deeply(\%verdicts, { valid => 50 }, 'every one of fifty deliveries by one sender has a valid signature');

note 'one session, many messages';
my $secret = 'whsec_' . encode_base64('k' x 32, '');

sub sign
{
	my ($first, $last) = @_;
	return "SELECT iu_core.webhook_signature('msg_' || n, 1700000000 + n, repeat('b', n), ARRAY['$secret'])"
	  . " FROM generate_series($first, $last) n";
}
my ($signed, $refused);
$node->psql('postgres', join(";\n", sign(1, 1), sign(2, 2),
		"SELECT iu_core.webhook_signature('m', 1, 'x', ARRAY['whsec_short'])",
		'BEGIN', sign(3, 20), 'SAVEPOINT a', sign(21, 21), 'ROLLBACK TO a', sign(22, 22), 'ROLLBACK',
		'DO $$BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END$$',
		sign(23, 2000)),
	stdout => \$signed, stderr => \$refused, on_error_stop => 0);
like($refused, qr/webhook secret 1 is malformed/, 'a malformed secret between two messages is refused');
my @expected = map {
	right_signature($secret, { 'webhook-id' => "msg_$_", 'webhook-timestamp' => 1700000000 + $_ }, 'b' x $_)
} 1 .. 2000;
is_deeply([ split /\n/, $signed ], \@expected,
	'2,000 messages, signed in one session over statements, savepoints and transactions, have the right signatures');

$node->stop;
$receiver->stop;
done_testing();
