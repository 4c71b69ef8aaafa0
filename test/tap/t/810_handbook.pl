# The examples of README.md and docs/handbook.md run as they are written, in
# their order, on one server, by whom a listing's first line names: "-- as olga",
# or "-- as olga; refused with 55006", where its last statement raises that.
use strict;
use warnings;

use IU::Handbook;
use PostgreSQL::Test::Utils;
use Test::More;

# Headings of a page as links have them, its links to itself, and its contents.
sub anchors
{
	my $text = slurp_file("../$_[0]") =~ s/^```\w*\n.*?^```\n//gmsr;
	my @headings = map { lc =~ s/[^\w\- ]//gr =~ tr/ /-/r } $text =~ /^##+ (.*)$/gm;
	return (\@headings, [ $text =~ /\]\(#([^)]*)\)/g ], [ $text =~ /^ *- \[.*\]\(#(.*)\)$/gm ]);
}

my ($headings, $links, $contents) = anchors('docs/handbook.md');
is_deeply($contents, $headings, 'the contents of the handbook are its headings, in their order');
for my $link (@$links) { fail("a link of the handbook leads nowhere: #$link") unless grep { $_ eq $link } @$headings }

my $handbook = IU::Handbook->new('handbook');
$handbook->node->start;
$handbook->node->safe_psql('postgres', 'CREATE DATABASE platform');

# What is a sentence, or a list of things, is broken where it is too long; nothing else is.
my $sentences = qr/^(?:trouble|next_action|what|sentence|detail|reason|finding|problem|message|meaning|remark|why|value
	|last_error|failure_detail|response_excerpt|verdict_reason|backup_check|purpose|task|error|done|left_over
	|findings|problems|keys|counters|object_name|body|jsonb_pretty|explained|previous|verified|QUERY\ PLAN
	|\w+_(?:report|excerpt))$/x;
my @misfits;
my $shown = '';
for my $listing ($handbook->listings('sql'))
{
	my ($rows, $complaints) = $handbook->run($listing);
	my ($state) = $complaints =~ /ERROR:  (\w{5}):/;
  SKIP:
	{
		skip 'the server was built without OpenSSL', 1 if $complaints =~ /cannot make signatures by Ed25519/;
		my $by = $listing->{user} // 'a superuser';
		is($state, $listing->{refused}, "$listing->{where}, by $by" . ($listing->{refused} ? ', is refused' : ''))
		  or diag($complaints);
	}
	note("$listing->{text}$rows$complaints");
	$shown .= $rows;
	push @misfits, map { "$listing->{where}: $_" } $handbook->misfits($rows, $sentences);
}
is(join("\n", @misfits), '', 'every answer fits into 120 columns, and only sentences are broken');

like($shown, qr/\| now +\| +1 \| delivered *$/m, 'the event of the handbook was delivered when it says so');
is(scalar(grep { $_->{path} eq '/iu' && $_->{method} eq 'POST' } $handbook->receiver->requests), 1,
	'the event of the handbook arrived, once');
$handbook->node->stop;
done_testing();
