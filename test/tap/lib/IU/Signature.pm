#-------------------------------------------------------------------------
#
# IU/Signature.pm
#	  Signatures of deliveries, by the Standard Webhooks: made here once more,
#	  independently of the sender, and judged by the reference library.
#
#	  right_signature($secret, $headers, $body);	# "v1,..." as webhook-signature has it
#	  own_verdict($secret, $headers, $body);		# "valid", or why not
#	  library_verdict($secret, $headers, $body);	# the same by the library (IU_STANDARDWEBHOOKS)
#
# $headers is a hash with lower-case names.
#
#-------------------------------------------------------------------------
package IU::Signature;

use strict;
use warnings;

use parent 'Exporter';
use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256);
use File::Basename qw(dirname);
use IPC::Run ();
use JSON::PP qw(decode_json encode_json);
use MIME::Base64 qw(decode_base64 encode_base64);

our @EXPORT = qw(right_signature own_verdict library_verdict);

my $peers = abs_path(dirname(__FILE__) . '/../../../peers');

sub right_signature
{
	my ($secret, $headers, $body) = @_;
	my $signed = join '.', @$headers{qw(webhook-id webhook-timestamp)}, $body;

	return 'v1,' . encode_base64(hmac_sha256($signed, decode_base64($secret =~ s/^whsec_//r)), '');
}

sub own_verdict
{
	my ($secret, $headers, $body) = @_;
	my ($id, $time, $given) = @$headers{qw(webhook-id webhook-timestamp webhook-signature)};

	return 'Missing required headers' unless $id && $time && $given;
	return 'Message timestamp too old' if time - $time > 300;
	return 'Message timestamp too new' if $time - time > 300;
	my $right = right_signature($secret, $headers, $body);
	return (grep { $_ eq $right } split / /, $given) ? 'valid' : 'No matching signature found';
}

sub library_verdict
{
	my ($secret, $headers, $body) = @_;
	my $asked = encode_json([ { secret => $secret, headers => $headers, body => encode_base64($body, '') } ]);

	IPC::Run::run([ 'node', "$peers/standardwebhooks/verify.js", $ENV{IU_STANDARDWEBHOOKS} ], '<', \$asked, '>',
		\my $said)
	  or die "verify.js failed\n";
	return decode_json($said)->[0];
}

1;
