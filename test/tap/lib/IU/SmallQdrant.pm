#-------------------------------------------------------------------------
#
# IU/SmallQdrant.pm
#	  A Qdrant that holds a few collections and understands what foreign tables
#	  ask of it: counts, pages, points by id, filters of equal values.
#
#	  my $qdrant = small_qdrant();		# an IU::Canned, which knows what it was asked
#
# Collections: kinds (values of every kind), many (2500 points), pieces (149, at
# most 100 a page), odd_ids, words (no ASCII), empty; slow and pair (3 points, an
# answer after 0.3 s; of pair two requests at a time), hang (no answer).
#
#-------------------------------------------------------------------------
package IU::SmallQdrant;

use strict;
use warnings;

use parent 'Exporter';
use IU::Answers;
use IU::Canned;
use JSON::PP;

our @EXPORT = qw(small_qdrant);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

my @kinds = (
	{ n => 1, text => 'one', flag => JSON::PP::true, tags => [ 'a', undef, 'c' ], day => '2026-01-02',
	deep => { x => [1] } },
	{ n => '2', text => undef, flag => 0, tags => [], list => [ 1, 2 ], day => 'soon' },
	{ n => 3.5, text => 7, tags => 'no array', deep => 'text', list => [ 1, [2] ] },
	{ 'a "b"' => 'odd', n => undef });

# id => payload, in the order of ids
my %points = (
	kinds => [ map { [ $_ + 1, $kinds[$_] ] } 0 .. $#kinds ],
	many => [ map { [ $_, { n => $_, group => $_ % 2 ? 'odd' : 'even' } ] } 1 .. 2500 ],
	pieces => [ map { [ $_, {} ] } 1 .. 149 ],
	odd_ids => [ [ '9007199254740993', {} ], [ '18446744073709551615', {} ],
	[ '"550e8400-e29b-41d4-a716-446655440000"', {} ] ],
	words => [ [ 1, { w => "gr\x{fc}n" } ], [ 2, { w => "bia\x{142}y" } ] ],
	(map { $_ => [ map { [ $_, {} ] } 1 .. 3 ] } qw(slow pair)),
	empty => []);

sub matching
{
	my ($name, $filter) = @_;
	my @conditions = @{ $filter->{must} // [] };
	return grep { my $point = $_; !grep { ($point->[1]{ $_->{key} }
		  // '') ne $_->{match}{value} } @conditions } @{ $points{$name} };
}

sub records
{
	my ($with, @points) = @_;
	return join ',', map {
		my $payload = $with ? $json->encode($_->[1]) : 'null';
		qq({"id":$_->[0],"payload":$payload,"vector":null})
	} @points;
}

sub scroll
{
	my ($name, $body) = @_;
	return qdrant_error(400, qq(Bad request: Limit exceeded $body->{limit} > 100 for \\"limit\\". Help: Reduce it))
		  if $name eq 'pieces' && $body->{limit} > 100;
	my @all = matching($name, $body->{filter});
	my $from = $body->{offset} // 0;
	my @rest = grep { $_->[0] =~ /\D/ || $_->[0] >= $from } @all;
	my @page = splice @rest, 0, $body->{limit};
	my $next = @rest ? $rest[0][0] : 'null';
	return qdrant_result('{"points":[' . records($body->{with_payload}, @page) . qq(],"next_page_offset":$next}));
}

sub peer
{
	my ($request) = @_;
	my ($path) = $request->{path} =~ /^([^?]*)/;
	return qdrant_result('{"aliases":[]}') if $path eq '/aliases';
	return qdrant_result('{"collections":['
		  . join(',', map { qq({"name":"$_"}) } grep { $_ !~ /slow|pair|words/ } sort keys %points) . ']}')
		  if $path eq '/collections';
	my ($name, $rest) = $path =~ m{^/collections/([^/]+)(.*)$} or return qdrant_error(404, 'no');
	return { hang => 1 } if $name eq 'hang';
	return qdrant_error(404, "Not found: Collection `$name` doesn't exist!") unless $points{$name};
	return qdrant_result('{"status":"green","config":{"params":{}},'
		  . '"payload_schema":{"n":{"data_type":"integer","points":1},'
		  . '"day":{"data_type":"datetime","points":1}}}') if $rest eq '';
	my $body = $json->decode($request->{body});
	my $answer;
	if ($rest eq '/points/count') { $answer = qdrant_result('{"count":' . (() = matching($name, $body->{filter}))
		  . '}') }
	elsif ($rest eq '/points/scroll') { $answer = scroll($name, $body) }
	else
	{
		my %wanted = map { $_ => 1 } @{ $body->{ids} };
		$answer = qdrant_result('[' . records($body->{with_payload},
			grep { $wanted{ $_->[0] =~ s/"//gr } } @{ $points{$name} }) . ']');
	}
	$answer->{delay} = 0.3 if $name =~ /^(slow|pair)$/;
	@$answer{qw(together group)} = (2, $rest) if $name eq 'pair';
	return $answer;
}

sub small_qdrant { return IU::Canned->start(\&peer) }

1;
