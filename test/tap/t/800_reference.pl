# docs/reference.md is what a freshly migrated database says, and nothing in it
# goes without saying. The other pages name only what is there.
use strict;
use warnings;
use IPC::Run;
use IU::Cluster;
use IU::Lines;
use IU::SQL;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = '..';		# tests run in test/

my $node = IU::Cluster->new_installed('reference');
talk_to($node);

my ($said, $errors);
IPC::Run::run([ 'psql', '-X', '-q', '-A', '-t', '-h', $node->host, '-p', $node->port, '-U', 'postgres', '-f',
	"$root/tools/reference.sql", 'postgres' ],
	'>', \$said, '2>', \$errors);
is($errors, '', 'tools/reference.sql runs');
cmp_ok(length $said, '>', 20000, 'tools/reference.sql says more than 20000 characters');

my $page = slurp_file("$root/docs/reference.md");
my @differs = map { substr($_, 0, 200) } differing_lines($page, $said);
ok($page eq $said, 'docs/reference.md is what the database says')
  or diag(join "\n", 'run make reference and commit docs/reference.md',
@differs[ 0 .. ($#differs < 19 ? $#differs : 19) ]);

is(join("\n", grep { /UNDOCUMENTED/ } split /\n/, $said), '', 'no object, setting or column is undocumented');

# All of it: what the catalog counts, the page has.
sub page_has
{
	my ($what, $query, $pattern) = @_;
	my @missing = grep { my $name = $_; my $wanted = $pattern->(quotemeta $name); $said !~ /$wanted/m } split /\n/,
		sql($query);
	is("@missing", '', "every $what is in docs/reference.md");
	return;
}
page_has('setting', q(SELECT name FROM pg_settings WHERE name LIKE 'iu\_core.%'), sub { "^\\| `$_[0]` \\|" });
page_has('function of the extension',
	q(SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'iu_core'::regnamespace), sub { "^### `$_[0]`\$" });
page_has('relation of the extension', q(SELECT oid::regclass FROM pg_class
	  WHERE relnamespace = 'iu_core'::regnamespace AND relkind IN ('r', 'v', 'm', 'f')),
	sub { "^### (?:table|view) `$_[0]`\$" });
page_has('wrapper', q(SELECT fdwname FROM pg_foreign_data_wrapper), sub { "^### foreign data wrapper `$_[0]`\$" });
page_has('governed object', q(SELECT object_name FROM iu_governed_object WHERE object_class <> 'trigger'),
	sub { "`$_[0]`" });
page_has('trigger', q(SELECT DISTINCT tgname FROM pg_trigger t JOIN iu_governed_object g ON g.object_class = 'trigger'
	  AND g.object_name = format('%I ON %s', t.tgname, t.tgrelid::regclass)), sub { "^- trigger `$_[0]`" });

# The pages that people wrote: a name they use is one that exists.
for my $page ('README.md', 'docs/handbook.md')
{
	my $text = slurp_file("$root/$page");
	my %names;
	$names{$1} = 1 while $text =~ /\b(
		(?:public\.)?(?:fn|v|trg)_(?:iu|dot)_\w+ | event_outbox | iu_(?:gate|route|outbound|switch|governed)_\w+
		| iu_core\.\w+ | queue\.[\w.]+\w )/gx;
	delete @names{qw(iu_core.so iu_core.control iu_core.standby)}; # files
	my @unknown = grep {
		sql(qq(SELECT EXISTS (SELECT FROM pg_proc WHERE proname = regexp_replace('$_', '^(public|iu_core)\\.', ''))
			OR CASE WHEN '$_' !~ '[.].*[.]' THEN to_regclass('$_') IS NOT NULL ELSE false END OR EXISTS (SELECT
			  FROM pg_settings WHERE name = '$_') OR EXISTS (SELECT FROM dot_config WHERE key = '$_')
			OR EXISTS (SELECT FROM pg_trigger WHERE tgname = '$_'))) ne 't'
	} sort keys %names;
	cmp_ok(scalar keys %names, '>', 5, "$page names more than five objects");
	is("@unknown", '', "every name in $page exists");
}

$node->stop;
done_testing();
