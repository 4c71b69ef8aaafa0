#-------------------------------------------------------------------------
#
# IU/Handbook.pm
#	  The listings of README.md and docs/handbook.md, with a server and the
#	  remotes that they speak of.
#
#	  my $handbook = IU::Handbook->new('handbook');		# a node that is not started
#	  $handbook->node->start;
#	  for my $listing ($handbook->listings('sql'))
#	  {
#		  my ($rows, $complaints) = $handbook->run($listing);
#	  }
#	  $handbook->receiver->requests;				# what arrived at https://hooks.example.com
#
# A listing is a hash: where it stands, language, text, user ("-- as olga" in its
# first line; undef: a superuser), refused (the SQLSTATE in "; refused with
# 55006"). What it names is replaced by what the test has instead. The settings
# of the listings in "ini" are the node's. The listings speak of database
# platform, which whoever runs them creates.
#
#-------------------------------------------------------------------------
package IU::Handbook;

use strict;
use warnings;

use Encode qw(decode);
use IPC::Run;
use IU::Certificate;
use IU::Cluster;
use IU::Peer;
use PostgreSQL::Test::Utils;

sub new
{
	my ($class, $name) = @_;
	my $secrets = PostgreSQL::Test::Utils::tempdir;
	my $self    = bless {
		receiver => IU::Peer->start('receiver'),
		directus => IU::Peer->start('directus'),
		qdrant   => IU::Peer->start('qdrant', '--api-key', 'the-key')
	}, $class;

	append_to_file("$secrets/directus.token", "the-token\n");
	append_to_file("$secrets/qdrant.key",     "the-key\n");
	_put_certificates("$secrets/certificates");
	$self->_fill_remotes;
	$self->{here} = {
		'https://hooks.example.com' => $self->{receiver}->url,
		'http://127.0.0.1:8055'     => $self->{directus}->url,
		'http://127.0.0.1:6333'     => $self->{qdrant}->url,
		'/etc/postgresql'           => $secrets
	};
	$self->{listings} = [ map { $self->_read($_) } 'README.md', 'docs/handbook.md' ];
	$self->{node}     = IU::Cluster->init_node($name, {});
	$self->{node}->append_conf('postgresql.conf', join '', map { $_->{text} } $self->listings('ini'));
	return $self;
}

# What a route to a partner trusts, and shows.
sub _put_certificates
{
	my ($folder) = @_;
	my $pair = IU::Certificate->self_signed('us.example.com');

	mkdir $folder;
	append_to_file("$folder/partner-ca.crt", $pair->{cert});
	append_to_file("$folder/us.crt",         $pair->{cert});
	append_to_file("$folder/us.key",         $pair->{key});
	chmod 0600, "$folder/us.key";
	return;
}

sub _fill_remotes
{
	my ($self) = @_;
	my @documents = map { { id => $_, title => "Document $_", pages => 10 * $_ } } 1 .. 3;
	my @key = ({ 'api-key' => 'the-key' });

	$self->{directus}->control('data',
		{ collections => { documents => \@documents }, tokens => { 'the-token' => ['documents'] } });
	$self->{qdrant}->call('PUT', '/collections/documents', { vectors => { size => 1, distance => 'Dot' } }, @key);
	$self->{qdrant}->call('PUT', '/collections/documents/points',
		{ points => [ map { { id => $_, vector => [$_] } } 1 .. 3 ] }, @key);
	return;
}

sub _read
{
	my ($self, $page) = @_;
	my $elsewhere = join '|', map { quotemeta } keys %{ $self->{here} };
	my ($line, $listing, @listings) = (0);

	for (split /\n/, slurp_file("../$page"))
	{
		$line++;
		if ($listing && /^```$/) { push @listings, $listing; undef $listing }
		elsif ($listing)
		{
			@{$listing}{qw(user refused)} = ($1, $2)
			  if $listing->{text} eq '' && /^-- as (?:a superuser|(\w+))(?:; refused with (\w{5}))?$/;
			$listing->{text} .= s/($elsewhere)/$self->{here}{$1}/gr . "\n";
		}
		elsif (/^```(\w+)$/) { $listing = { where => "$page:$line", language => $1, text => '' } }
		elsif (/^```/)       { die "$page:$line: unknown kind of listing\n" }
	}
	die "$page: a listing does not end\n" if $listing;
	return @listings;
}

sub node     { return $_[0]{node} }
sub receiver { return $_[0]{receiver} }

# Those in a language, in the order of the pages.
sub listings
{
	my ($self, $language) = @_;
	return grep { $_->{language} eq $language } @{ $self->{listings} };
}

# How wide an answer may be, by the psqlrc that the handbook recommends.
our $COLUMNS = 120;

# Rows and complaints, with SQLSTATE. More settings of the session may follow: "-c statement_timeout=20s".
sub run
{
	my ($self, $listing, $settings) = @_;
	my ($rows, $complaints) = ('', '');
	local $ENV{PGOPTIONS} = join ' ', '-c client_min_messages=warning', $settings // ();

	IPC::Run::run([ 'psql', '-X', '-q', '-P', 'format=wrapped', '-P', "columns=$COLUMNS", '-v', 'ON_ERROR_STOP=1', '-v',
			'VERBOSITY=verbose', '-h', $self->{node}->host,
			'-p', $self->{node}->port, '-U', $listing->{user} // 'postgres', '-f', '-', 'platform' ],
		'<', \$listing->{text}, '>', \$rows, '2>', \$complaints);
	return ($rows, $complaints);
}

# What does not fit in what psql showed: lines that are too long, and columns that
# it had to break though no sentence is expected in them. A broken cell ends with
# "." where others end with a blank.
sub misfits
{
	my ($self, $rows, $sentences) = @_;
	my (@misfits, @names, @ends, $above);

	for my $line (split /\n/, decode('UTF-8', $rows))
	{
		push @misfits, length($line) . " columns: $line" if length $line > $COLUMNS;
		if ($line =~ /^-+(?:\+-+)*$/)
		{
			@ends  = map { $_ - 1 } (grep { substr($line, $_, 1) eq '+' } 0 .. length($line) - 1), length $line;
			@names = map { s/^\s+|\s+$//gr } split /\|/, $above // '';
		}
		elsif ($line =~ /^\(\d+ rows?\)$/) { @ends = () }
		push @misfits, map { "column $names[$_] is broken: $line" }
		  grep { length $line > $ends[$_] && substr($line, $ends[$_], 1) eq '.' && $names[$_] !~ $sentences }
		  0 .. $#ends;
		$above = $line;
	}
	return @misfits;
}

1;
