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
	array_subscript_error => '2202E', invalid_regular_expression => '2201B',
	invalid_text_representation => '22P02', undefined_file => '58P01',
	query_canceled => '57014', serialization_failure => '40001', trigger_protocol_violated => '39P01',
	program_limit_exceeded => '54000', data_exception => '22000', wrong_object_type => '42809',
	undefined_function => '42883', datatype_mismatch => '42804', numeric_value_out_of_range => '22003',
	reserved_name => '42939', invalid_name => '42602', dependent_objects_still_exist => '2BP01',
	invalid_authorization_specification => '28000', configuration_limit_exceeded => '53400',
	fdw_error => 'HV000', fdw_dynamic_parameter_value_needed => 'HV002', fdw_invalid_data_type => 'HV004',
	fdw_invalid_column_name => 'HV007', fdw_invalid_option_name => 'HV00D', fdw_invalid_attribute_value => 'HV024',
	fdw_unable_to_create_execution => 'HV00L', fdw_unable_to_establish_connection => 'HV00N',
	fdw_schema_not_found => 'HV00Q', fdw_table_not_found => 'HV00R');

# What each statement raises: constraint name, SQLSTATE, where. A name that is
# put together from a word and a variable is known by its beginning. What is put
# into the message is in the detail as well, where programs look for it. IU000 is
# raised to be caught in the same function; RAISE alone, and one with a variable as
# its SQLSTATE, raises what was caught.
my (@raised, @beginnings, @unnamed, @without_figures);
for my $file (grep { /\.sql$/ } sort keys %text)
{
	my $text = $text{$file} =~ s/--.*//gr;
	while ($text =~ /\bRAISE\b(?! (?:WARNING|NOTICE|LOG|INFO|DEBUG)\b)((?:[^;']|'(?:[^']|'')*')*);/g)
	{
		my $statement = $1;
		next if $statement eq '' || $statement =~ /^ (?:SQLSTATE 'IU000'|USING ERRCODE = v_state\b)/;
		my ($state, $condition, $what) = $statement =~ /^ (?:SQLSTATE '(\w{5})'|(\w+)) USING(.*)$/s;
		if (($what // '') !~ /CONSTRAINT = (?:'(\w+)'( \|\|)?|\w+)/)
		{
			push @unnamed, "$file: RAISE" . ($what // $statement);
		}
		elsif (defined $1)
		{
			$2 ? push @beginnings, $1 : push @raised, [ $1, $state // $sqlstate{$condition} // $condition, $file ];
		}
		my ($message) = ($what // '') =~ /MESSAGE = (.*?)(?:,\s*(?:DETAIL|HINT|CONSTRAINT|TABLE) =|$)/s;
		push @without_figures, "$file: $message"
		  if defined $message && $message =~ /%[sLI]|\|\||^\w+\.\w+\(/ && $what !~ /\bDETAIL = /;
	}
}

# In C a refusal is every ereport(ERROR) but one whose SQLSTATE says that the
# system failed, whatever was asked. elog(ERROR) is always such a one, XX000.
my %system = map { $_ => 1 } qw(INTERNAL_ERROR OUT_OF_MEMORY DATA_CORRUPTED INSUFFICIENT_RESOURCES SYSTEM_ERROR);
my $string = qr/"(?:[^"\\]|\\.)*"/;
my $parentheses = qr/(\((?:[^()"']|$string|'(?:[^'\\]|\\.)+'|(?-1))*\))/;
my $harmless = qr/^\((?:LOG|LOG_SERVER_ONLY|INFO|NOTICE|WARNING|DEBUG\d),/;

sub state_of { my ($name) = @_; return $sqlstate{ lc($name) =~ s/^e_r_i_e_//r } // $name }

for my $file (grep { /\.c$/ } sort keys %text)
{
	$text{$file} =~ s{/\*.*?\*/}{}gs;
	while ($text{$file} =~ /\bereport\b(?:\s*$parentheses)?/g)
	{
		my $report = $1 // '(an ereport that this test cannot read)';
		next if $report =~ $harmless;
		my ($code) = $report =~ /\berrcode\(ERRCODE_(\w+)\)/;
		next if defined $code && $system{$code};
		# That a column cannot hold a value is raised again by who knows its row, with both in the detail.
		my ($message) = $report =~ /\berrmsg\(((?:$string\s*)+)/;
		push @without_figures, "$file: $message"
		  if ($message // '') =~ /%/ && $report !~ /\berrdetail/ && $file ne 'fdw/field.c';
		if (defined $code && $report =~ /PG_DIAG_CONSTRAINT_NAME, "(\w+)"/)
		{
			push @raised, [ $1, state_of($code), $file ];
		}
		elsif ($report !~ /\berrcode\((\w+)->sqlstate\).*PG_DIAG_CONSTRAINT_NAME, \g1->constraint\)/s)
		{
			push @unnamed, "$file: " . ($report =~ /errmsg\(($string)/ ? $1 : $report);
		}
	}
	next unless $file =~ /^fdw/;

	# What a remote would not do is raised from an IuFailure, where the name stands beside the SQLSTATE.
	push @raised, [ $1, undef, $file ] while $text{$file} =~ /\bconstraint = "(\w+)"/g;
	while ($text{$file} =~ /(?<!errcode\()\bERRCODE_(\w+)(?=(.{0,80}))/gs)
	{
		my ($code, $rest) = ($1, $2);
		if ($rest =~ /^(?:,|;\s+\w+(?:->|\.)constraint =)\s*"(\w+)"/) { push @raised, [ $1, state_of($code), $file ] }
		else { push @unnamed, "$file: ERRCODE_$code without a constraint name beside it" }
	}
}
is(join("\n", @unnamed), '', 'every refusal of a function and of the library names a constraint');
is(join("\n", @without_figures), '', 'what the message of a refusal names is in its detail');
cmp_ok(scalar @raised, '>', 150, 'more than 150 refusals are found in the sources');

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

# A name counts where it stands outside of the lists, as functions pass it on.
my %times;
for my $text (values %text)
{
	my $raising = $text =~ s/SELECT iu\.fn_iu_refusal_put\(.*?\]\]\);//gsr;
	$times{$1}++ while $raising =~ /['"](iu_[a-z0-9_]+)['"]/g;
}
my @idle = grep {
	my $name = $_;
	!$times{$name} && !grep { index($name, $_) == 0 } @beginnings
} sort keys %listed;
is(join(', ', @idle), '', 'every name that is listed is raised somewhere');

done_testing();
