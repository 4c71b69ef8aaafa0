#-------------------------------------------------------------------------
#
# IU/Certificate.pm
#	  Keys and certificates of a test's own, made by openssl.
#
#	  my $pair = IU::Certificate->self_signed('a.test', 'b.test');	# { key, cert: PEM; key_file, cert_file }
#	  my $authority = IU::Certificate->authority;
#	  $authority->file;									# its certificate
#	  my $pair = $authority->sign('good', 'good.test');	# a name for the files, the name it is for
#	  my $old = $authority->sign('old', 'old.test', '20200101000000Z', '20210101000000Z');
#
#-------------------------------------------------------------------------
package IU::Certificate;

use strict;
use warnings;

use PostgreSQL::Test::Utils;

sub _openssl { return system_log('openssl', @_) == 0 || die "openssl @_ failed\n" }

sub _pair
{
	my ($name) = @_;
	my %pair = (key_file => "$name.key", cert_file => "$name.crt");
	return { %pair, key => slurp_file($pair{key_file}), cert => slurp_file($pair{cert_file}) };
}

sub self_signed
{
	my ($class, @names) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir . '/self';

	_openssl(qw(req -x509 -newkey rsa:2048 -nodes -days 3650 -subj), "/CN=$names[0]", '-addext',
		'subjectAltName=' . join(',', map { "DNS:$_" } @names), '-keyout', "$file.key", '-out', "$file.crt");
	return _pair($file);
}

sub authority
{
	my ($class) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir;

	append_to_file("$folder/ca.cnf", <<"EOT");
[ca]
default_ca = test
[test]
database = $folder/index
new_certs_dir = $folder
serial = $folder/serial
private_key = $folder/ca.key
certificate = $folder/ca.crt
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
EOT
	append_to_file("$folder/index", '');
	append_to_file("$folder/serial", "01\n");
	_openssl(qw(req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=authority), '-keyout', "$folder/ca.key",
		'-out', "$folder/ca.crt");
	return bless { folder => $folder }, $class;
}

sub file { return "$_[0]{folder}/ca.crt" }

sub sign
{
	my ($self, $file, $name, $start, $end) = @_;
	my $folder = $self->{folder};

	_openssl(qw(req -newkey rsa:2048 -nodes -subj), "/CN=$name", '-keyout', "$folder/$file.key",
		'-out', "$folder/$file.csr");
	append_to_file("$folder/$file.ext", "subjectAltName=DNS:$name\n");
	_openssl(qw(ca -batch -notext -config), "$folder/ca.cnf", '-in', "$folder/$file.csr", '-out', "$folder/$file.crt",
		'-extfile', "$folder/$file.ext", '-startdate', $start // '20200101000000Z',
		'-enddate', $end // '20400101000000Z');
	return _pair("$folder/$file");
}

1;
