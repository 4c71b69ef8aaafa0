# docs/inside.md leads whoever changes the code: what it names as a file is one.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = '..';		# tests run in test/
my $page = slurp_file("$root/docs/inside.md");

# A name with a folder in it is a path of this tree; NNN, NN and NAME stand for
# whatever a new one is called.
my %line_of;
my $number = 0;
for my $line (split /\n/, $page)
{
	$number++;
	while ($line =~ /`([^`]+)`/g)
	{
		my $name = $1;
		$line_of{$name} //= $number
		  if $name =~ m{^(?:\.ci|bench|bgworker|core|demo|docs|extension|fdw|http|rollback|sql|test|tools)/}
		  && $name !~ /\bNN|NAME/;
	}
}
$line_of{$2} //= 1 while $page =~ /\]\((\.\.\/)?([\w.\/]+\.md)\)/g;

cmp_ok(scalar keys %line_of, '>', 80, 'docs/inside.md names more than 80 files');
my @missing = grep { my $path = (split ' ')[0]; !-e "$root/$path" && !-e "$root/docs/$path" } sort keys %line_of;
is(join(', ', map { "$_ (line $line_of{$_})" } @missing), '', 'every file that docs/inside.md names is there');

my @headings = map { lc =~ s/[^\w\- ]//gr =~ tr/ /-/r } $page =~ /^##+ (.*)$/gm;
is_deeply([ $page =~ /^ *- \[.*\]\(#(.*)\)$/gm ], \@headings,
	'the contents of docs/inside.md are its headings, in their order');

done_testing();
