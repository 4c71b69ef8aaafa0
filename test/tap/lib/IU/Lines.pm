#-------------------------------------------------------------------------
#
# IU/Lines.pm
#	  Long texts: compared line by line, in whatever order, so that a test that
#	  fails shows the lines that differ and not two dumps; and matched by patterns
#	  that would be too long for a line.
#
#	  same_lines($got, $expected, 'the same dump');
#	  differing_lines($got, $expected);		# "+ only got", "- only expected", in order
#	  like($got, pattern(qr/^one piece/, qr/ and the next$/), 'matched as one');
#
#-------------------------------------------------------------------------
package IU::Lines;

use strict;
use warnings;

use parent 'Exporter';
use Test::More ();

our @EXPORT = qw(same_lines differing_lines pattern);

sub differing_lines
{
	my ($got, $expected) = @_;
	my %count;

	return if $got eq $expected;
	$count{$_}++ foreach split /\n/, $got;
	$count{$_}-- foreach split /\n/, $expected;
	return map { ($count{$_} > 0 ? '+ ' : '- ') . $_ } grep { $count{$_} } sort keys %count;
}

sub same_lines
{
	my ($got, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return Test::More::is(join("\n", differing_lines($got, $expected)), '', $name);
}

sub pattern
{
	my $whole = join '', @_;
	return qr/$whole/;
}

1;
