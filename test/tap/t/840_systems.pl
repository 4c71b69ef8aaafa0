# docs/systems.md says for each demand where it is met and what shows it: every row is
# whole, every name is one of a migrated database, and every test is there and speaks of
# what its row names.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file('../docs/systems.md');		# tests run in test/
my $node = IU::Cluster->new_installed('systems', 'iu_core.databases' => '');
talk_to($node);

my %is_there = map { $_ => 1 } split /\n/, sql(q{
	SELECT unnest(ARRAY[p.proname::text, n.nspname || '.' || p.proname]) FROM pg_proc p
	  JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('public', 'iu', 'iu_core')
	UNION SELECT unnest(ARRAY[c.relname::text, n.nspname || '.' || c.relname]) FROM pg_class c
	  JOIN pg_namespace n ON n.oid = c.relnamespace
	 WHERE c.relkind IN ('r', 'v', 'p') AND n.nspname IN ('public', 'iu', 'iu_core', 'cutter_governance')
	UNION SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
	UNION SELECT key FROM dot_config
	UNION SELECT event_domain || '.' || event_type FROM event_type_registry
	UNION SELECT invariant_code FROM iu_invariant
	UNION SELECT command_name FROM dot_iu_command_catalog});

my (@headings, @rows);
my $number = 0;
for my $line (split /\n/, $page)
{
	$number++;
	push @headings, $1 if $line =~ /^## (.*)$/;
	next unless $line =~ /^\|/ && $line !~ /^\| (?:---|what is demanded) \|/;
	my (undef, @cells) = split /(?<!\\)\|/, $line;
	push @rows, { line => $number, cells => [ map { s/^\s+|\s+$//gr } @cells ], heading => $headings[-1] };
}
cmp_ok(scalar @rows, '>', 80, 'docs/systems.md has more than 80 rows');
is(join(', ', map { $_->{line} } grep { @{ $_->{cells} } != 3 || grep { !/\w/ } @{ $_->{cells} } } @rows), '',
	'every row has three cells, and no cell is empty');

my (@unknown, @nothing, @no_test, @silent);
for my $row (@rows)
{
	my ($demand, $where, $shows) = @{ $row->{cells} };
	my @names = $where =~ /`([^`]+)`/g;
	my @tests = $shows =~ /`([^`]+)`/g;

	push @nothing, $row->{line} unless @names && @tests;
	push @unknown, map { "$_ (line $row->{line})" } grep { !$is_there{$_} } @names;
	push @no_test, map { "$_ (line $row->{line})" } grep { !m{^(?:pgtap/\w+\.sql|tap/t/\w+\.pl)$} || !-e $_ } @tests;

	my $text = join '', map { -e $_ ? slurp_file($_) : '' } @tests;
	push @silent, "$row->{line}: $demand"
	  unless grep { index($text, s/^(?:iu|iu_core|cutter_governance)\.(?=\w+$)//r) >= 0 } @names;
}
is("@nothing", '', 'every row names what meets the demand, and a test');
is(join(', ', @unknown), '', 'every name of docs/systems.md is one of the database');
is(join(', ', @no_test), '', 'every test of docs/systems.md is there');
is(join("\n", @silent), '', 'the tests of a row speak of what the row names');
is_deeply([ $page =~ /^- \[.*\]\(#(.*)\)$/mg ], [ map { lc =~ s/[^\w\- ]//gr =~ tr/ /-/r } @headings ],
	'the contents of docs/systems.md are its headings, in their order');
unlike($page, qr/\bseeds?\b/i, 'docs/systems.md refers to no document that a reader cannot open');

$node->stop;
done_testing();
