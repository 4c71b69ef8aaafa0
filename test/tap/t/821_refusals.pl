# iu_refusal lists what the functions, the rollbacks and the library refuse, each
# by the constraint name that its error carries: no name is raised that is not
# listed, and none is listed that nothing raises.
use strict;
use warnings;
use File::Find;
use IU::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = '..';		# tests run in test/

my %text;
find({ no_chdir => 1, wanted => sub { $text{ s{^\Q$root\E/}{}r } = slurp_file($_) if /\.(?:sql|c)$/ } },
	map { "$root/$_" } qw(sql rollback extension core http fdw bgworker));

my %sqlstate = (
	feature_not_supported => '0A000', invalid_parameter_value => '22023', null_value_not_allowed => '22004',
	check_violation => '23514', unique_violation => '23505', not_null_violation => '23502',
	foreign_key_violation => '23503', invalid_transaction_state => '25000', insufficient_privilege => '42501',
	undefined_object => '42704', duplicate_object => '42710', undefined_table => '42P01', no_data_found => 'P0002',
	object_not_in_prerequisite_state => '55000', object_in_use => '55006', lock_not_available => '55P03',
	invalid_regular_expression => '2201B', invalid_text_representation => '22P02', undefined_file => '58P01',
	query_canceled => '57014', serialization_failure => '40001', trigger_protocol_violated => '39P01',
	program_limit_exceeded => '54000', data_exception => '22000', wrong_object_type => '42809');

# What each statement raises: constraint name, SQLSTATE, where. A name that is
# put together from a word and a variable is known by its beginning.
my (@raised, @beginnings);
for my $file (sort keys %text)
{
	my $text = $text{$file} =~ s/--.*//gr;
	while ($text =~ /\bRAISE (?:SQLSTATE '(\w{5})'|(\w+)) USING((?:[^;']|'(?:[^']|'')*')*);/g)
	{
		my ($state, $condition, $what) = ($1, $2, $3);
		next if defined $condition && $condition =~ /^(?:WARNING|NOTICE|LOG|INFO|DEBUG)$/;
		$state //= $sqlstate{$condition} // $condition;
		if ($what =~ /CONSTRAINT = '(\w+)'( \|\|)?/) { $2 ? push @beginnings, $1 : push @raised, [ $1, $state, $file ] }
	}
	push @raised, [ $1, undef, $file ] while $text =~ /PG_DIAG_CONSTRAINT_NAME, "(\w+)"/g;
}
cmp_ok(scalar @raised, '>', 80, 'more than 80 refusals are found in the sources');

my $node = IU::Cluster->new_node('refusals');
$node->safe_psql('postgres', 'CREATE EXTENSION iu_core');
$node->safe_psql('postgres', 'SELECT count(*) FROM iu_core.migrate()');
my %listed = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres', 'SELECT constraint_name, sqlstate FROM iu_refusal');
$node->stop;

my %missing = map { $_->[0] => $_->[2] } grep { !$listed{ $_->[0] } } @raised;
is(join(', ', map { "$_ ($missing{$_})" } sort keys %missing), '', 'every name that is raised is listed');

my %other = map { ("$_->[0]: $_->[1] in $_->[2], listed as $listed{$_->[0]}" => 1) }
  grep { defined $_->[1] && $listed{ $_->[0] } && $listed{ $_->[0] } ne $_->[1] } @raised;
is(join("\n", sort keys %other), '', 'every name is listed with the SQLSTATE that it is raised with');

# Once in the list, and once where it is raised.
my %times;
for my $text (values %text) { $times{$1}++ while $text =~ /['"](iu_[a-z0-9_]+)['"]/g }
my @idle = grep {
	my $name = $_;
	($times{$name} // 0) < 2 && !grep { index($name, $_) == 0 } @beginnings
} sort keys %listed;
is(join(', ', @idle), '', 'every name that is listed is raised somewhere');

done_testing();
