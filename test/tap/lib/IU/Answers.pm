#-------------------------------------------------------------------------
#
# IU/Answers.pm
#	  Answers as Qdrant and Directus give them, for IU::Canned.
#
#	  qdrant_result('{"count":149}');				# 200, the envelope around it
#	  qdrant_error(404, 'Not found: ...', @headers);
#	  directus_data('[{"count":"163"}]');			# 200
#	  directus_error(403, q(You don't have permission ...), @headers);
#
# Results and messages are JSON already: a quotation mark in a message is \".
#
#-------------------------------------------------------------------------
package IU::Answers;

use strict;
use warnings;

use parent 'Exporter';

our @EXPORT = qw(qdrant_result qdrant_error directus_data directus_error);

sub qdrant_result { return { status => 200, body => qq({"result":$_[0],"status":"ok","time":2.1e-05}) } }

sub qdrant_error
{
	my ($status, $message, @headers) = @_;
	return { status => $status, body => qq({"status":{"error":"$message"},"time":0.0000213}), headers => [@headers] };
}

sub directus_data { return { status => 200, body => qq({"data":$_[0]}) } }

sub directus_error
{
	my ($status, $message, @headers) = @_;
	my $body = qq({"errors":[{"message":"$message","extensions":{"code":"X"}}]});
	return { status => $status, body => $body, headers => [@headers] };
}

1;
