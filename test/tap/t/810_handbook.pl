# The examples of README.md and docs/handbook.md run as they are written, in
# their order, on one server, by whom a listing's first line names: "-- as olga",
# or "-- as olga; refused with 55006", where its last statement raises that.
use strict;
use warnings;
use IPC::Run;
use IU::Peer;
use IU::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $receiver = IU::Peer->start('receiver');
my $directus = IU::Peer->start('directus');
my $qdrant   = IU::Peer->start('qdrant', '--api-key', 'the-key');
my $secrets  = PostgreSQL::Test::Utils::tempdir;
append_to_file("$secrets/directus.token", "the-token\n");
append_to_file("$secrets/qdrant.key", "the-key\n");
$directus->control('data', { collections => { documents => [ map { { id => $_, title => "Document $_",
	pages => 10 * $_ } } 1 .. 3 ] }, tokens => { 'the-token' => ['documents'] } });
$qdrant->call('PUT', '/collections/documents', { vectors => { size => 1, distance => 'Dot' } },
	{ 'api-key' => 'the-key' });
$qdrant->call('PUT', '/collections/documents/points', { points => [ map { { id => $_, vector => [$_] } } 1 .. 3 ] },
	{ 'api-key' => 'the-key' });

# What a page names and a test has elsewhere.
my %here = (
	'https://hooks.example.com' => $receiver->url,
	'http://127.0.0.1:8055'     => $directus->url,
	'http://127.0.0.1:6333'     => $qdrant->url,
	'/etc/postgresql'           => $secrets);
my $elsewhere = join '|', map { quotemeta } keys %here;

# Where it stands, language, who runs it, SQLSTATE of its refusal, text: of each listing.
sub listings
{
	my ($page) = @_;
	my ($line, $listing, @listings) = (0);
	for (split /\n/, slurp_file("../$page"))
	{
		$line++;
		if ($listing && /^```$/) { push @listings, $listing; undef $listing }
		elsif ($listing)
		{
			@{$listing}{qw(user refused)} = ($1, $2)
				  if $listing->{text} eq '' && /^-- as (?:a superuser|(\w+))(?:; refused with (\w{5}))?$/;
			$listing->{text} .= s/($elsewhere)/$here{$1}/gr . "\n";
		}
		elsif (/^```(\w+)$/) { $listing = { where => "$page:$line", language => $1, text => '' } }
		elsif (/^```/) { die "$page:$line: unknown kind of listing\n" }
	}
	die "$page: a listing does not end\n" if $listing;
	return @listings;
}

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

my @listings = map { listings($_) } 'README.md', 'docs/handbook.md';
my $node = IU::Cluster->init_node('handbook', {});
$node->append_conf('postgresql.conf', join '', map { $_->{text} } grep { $_->{language} eq 'ini' } @listings);
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE platform');

my $shown = '';
for my $listing (grep { $_->{language} eq 'sql' } @listings)
{
	my ($out, $err, $user) = ('', '', $listing->{user} // 'postgres');
	$ENV{PGOPTIONS} = '-c client_min_messages=warning';
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-h', $node->host, '-p',
		$node->port,
		'-U', $user, '-f', '-', 'platform' ], '<', \$listing->{text}, '>', \$out, '2>', \$err);
	my ($state) = $err =~ /ERROR:  (\w{5}):/;
	is($state, $listing->{refused}, "$listing->{where}, by $user" . ($listing->{refused} ? ', is refused' : ''))
		  or diag($err);
	note("$listing->{text}$out$err");
	$shown .= $out;
}

like($shown, qr/^ delivered$/m, 'the event of the handbook was delivered when it says so');
is(scalar(grep { $_->{path} eq '/iu' && $_->{method} eq 'POST' } $receiver->requests), 1,
	'the event of the handbook arrived, once');
$node->stop;
done_testing();
