# IU::Wire: a network of a test's own for a server, made by wire.c.
#
#   my $wire = IU::Wire->new($receiver->port);     # where every connection ends; 0: at the port it was meant for
#   $wire->start($node);                         # starts the server on it
#   $wire->name('twice.test', ['8.8.8.8'], ['127.0.0.1', '::1']);   # first look-up, later ones
#   my @connects = $wire->connects;              # 'ADDRESS PORT', in order
#   my @lookups = $wire->lookups;                # 'NAME FAMILY', in order
#   $wire->forget;                               # what was seen
#   $wire->trust($file);                         # certificates in place of the system's
package IU::Wire;

use strict;
use warnings;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use PostgreSQL::Test::Utils;

sub new
{
	my ($class, $port) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir;
	my $self = bless { folder => $folder }, $class;
	system_or_bail('cc', '-shared', '-fPIC', '-Wall', '-Wextra', '-Werror', '-o', "$folder/wire.so",
		dirname(__FILE__) . '/wire.c', '-ldl');
	$self->aim($port);
	return $self;
}

sub put
{
	my ($self, $file, $mode, $text) = @_;
	open(my $out, $mode, "$self->{folder}/$file") or die "$file: $!";
	print $out $text;
	close $out or die "$file: $!";
	return;
}

# Where connections end from now on.
sub aim { my ($self, $port) = @_; return $self->put('trap', '>', "$port\n") }

sub start
{
	my ($self, $node) = @_;
	local $ENV{IU_WIRE} = $self->{folder};
	local $ENV{LD_PRELOAD} = join ' ', grep { $_ } $ENV{LD_PRELOAD}, "$self->{folder}/wire.so";
	$node->start;
	return;
}

sub name
{
	my ($self, $name, @answers) = @_;
	return $self->put('hosts', '>>', join '', map { join(' ', $name, @$_) . "\n" } @answers);
}

sub trust { my ($self, $file) = @_; copy($file, "$self->{folder}/ca.pem") or die "$file: $!"; return }

sub seen
{
	my ($self, $what) = @_;
	return () unless -e "$self->{folder}/seen";
	return map { /^$what (.*)$/ ? $1 : () } split /\n/, slurp_file("$self->{folder}/seen");
}

sub connects { return $_[0]->seen('connect') }
sub lookups { return $_[0]->seen('lookup') }
sub forget { return $_[0]->put('seen', '>', '') }

1;
