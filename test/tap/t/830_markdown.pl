# Reports as programs see them: two renderers from npm turn them into HTML, and
# whatever people wrote is text in it, nothing else.
use strict;
use warnings;

use IU::Cluster;
use IU::SQL;
use JSON::PP qw(decode_json);
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'npm is not installed' if !$ENV{IU_MARKDOWN};

my $node = IU::Cluster->new_installed('markdown');
talk_to($node);

my @texts = (
	'<!-- <script>alert(1)</script> -->', '<img src=x onerror=alert(1)>',
	'`code` ``x`` ```', '[a](https://evil.example)',
	'![a](https://evil.example/x.png)', '<https://evil.example>', 'https://evil.example/x and www.evil.example',
	'a@evil.example', '*a* **b** _c_ __d__ ~~e~~',
	'a | b \\| c \\', '&lt;script&gt; &amp; &#60;', '# a', '- a', '1. a', '> a',
	'[x]: https://evil.example', '[^1]',
	"a\x{1b}[31mb", "a\x{2028}b\x{202e}c\x{200b}d", "a\r\n\r\n## b", '$a$', '---', '===');

sub render
{
	my ($markdown) = @_;
	my $out = '';
	utf8::encode($markdown);
	IPC::Run::run([ 'node', 'peers/markdown/render.js', $ENV{IU_MARKDOWN} ], '<', \$markdown, '>', \$out)
	  or die 'no renderer';
	return decode_json($out);
}

sub is_harmless
{
	my ($html, $name) = @_;
	unlike($html, qr/<(?:script|a|img|code|em|del|blockquote|!--|ol)\b|<!--/i, "$name: no element comes of it");
	unlike($html, qr/[\x{1b}\x{2028}\x{202e}\x{200b}]/, "$name: nothing is left that nobody sees");
	return;
}

sub quoted { my ($text) = @_; utf8::encode($text); return literal($text) =~ s/\\/\\/gr }

my $rows = join ' || E\'\n\' || ',
  map { 'iu.fn_iu_markdown_row(ARRAY[\'first\', ' . quoted($_) . ', \'last\'], NULL)' } @texts;
my $list = join ' || E\'\n\' || ', map { "'- ' || iu_core.markdown_text(" . quoted($_) . ', true)' } @texts;
my $table = sql("SELECT iu.fn_iu_markdown_table(ARRAY['a', 'b', 'c'], $rows, '')");
my $items = sql("SELECT $list");
utf8::decode($_) foreach $table, $items;

my %table = %{ render($table) };
my %items = %{ render($items) };
foreach my $renderer (sort keys %table)
{
	my @lines = $table{$renderer} =~ m{<tr>(.*?)</tr>}gs;
	is(@lines, @texts + 1, "$renderer: the table has a row for each text");
	is(scalar(grep { (() = m{<td>}g) != 3 } @lines[ 1 .. $#lines ]), 0, "$renderer: each row has three cells");
	is_harmless($table{$renderer}, "$renderer, in a table");
	is(scalar(() = $items{$renderer} =~ /<li>/g), scalar(@texts), "$renderer: the list has an item for each text");
	unlike($items{$renderer}, qr/<h[1-6]|<hr/, "$renderer: no item is a heading or a rule");
	is_harmless($items{$renderer}, "$renderer, in a list");
	like($table{$renderer}, qr/&lt;script&gt;alert\(1\)&lt;\/script&gt;/, "$renderer: what was written can be read");
}

note 'reports';
my $bad = '<script>x</script> | `a` [l](https://evil.example) **b**';
sql("SELECT fn_iu_gate_open('iu_core.composer_enabled', gen_random_uuid(), '$bad', '$bad', 60);
	SELECT fn_iu_gate_close('iu_core.composer_enabled', '$bad', '$bad')");
sql("SELECT fn_iu_change_window_open('w', gen_random_uuid(), '$bad', '$bad', '/nowhere/$bad', 1, repeat('0', 64));
	SELECT fn_iu_change_window_close('w', '$bad', '{\"PG\": \"$bad\"}', ARRAY['$bad'])");
foreach my $report ("fn_iu_gate_ledger_excerpt('-infinity', 'infinity')", "fn_iu_change_report('w')")
{
	my $markdown = sql("SELECT $report");
	utf8::decode($markdown);
	my %html = %{ render($markdown) };
	foreach my $renderer (sort keys %html)
	{
		unlike($html{$renderer}, qr/<(?:script|a|img)\b|<strong>b</,
			"$report, $renderer: no element comes of what people wrote");
		my @widths = map { scalar(() = /<t[dh]>/g) } $html{$renderer} =~ m{<tr>(.*?)</tr>}gs;
		my @tables = map { scalar(() = /<th>/g) } $html{$renderer} =~ m{<thead>(.*?)</thead>}gs;
		is(scalar(grep { my $width = $_; !grep { $_ == $width } @tables } @widths), 0,
			"$report, $renderer: every row is as wide as a table's head");
	}
}
$node->stop;
done_testing();
