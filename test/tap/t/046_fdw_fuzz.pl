# What remotes may answer, made up by libFuzzer: 20 seconds of it over the real
# path from an answer's bytes to a query's rows. IU_FUZZ_SECONDS says how long
# ("make fuzz": ten minutes). test/fuzz holds the target and says how it works.
use strict;
use warnings;

use Cwd qw(abs_path);
use IU::Cluster;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $fuzz = abs_path('fuzz');    # tests run in test/
plan skip_all => 'clang is not installed (tools/setup test installs it)'
	  if system('command -v clang >/dev/null 2>&1') != 0;

my $seconds = $ENV{IU_FUZZ_SECONDS} // 20;
my $stage = PostgreSQL::Test::Utils::tempdir;
my $log = "$stage/log";
run_log([ 'cp', '-r', "$ENV{IU_STAGE}/.", $stage ]) or die;
system("'$fuzz/build' '$stage/build' >'$log' 2>&1") == 0
	  or die('the fuzz target does not build: ' . slurp_file($log));
run_log([ 'cp', "$stage/build/iu_core.so", "$stage/lib/" ]) or die;
$ENV{PATH} = "$stage/bin:$ENV{PATH}";

my $node = IU::Cluster->init_node('fuzz', {}, 'iu_core.databases' => '');
$node->start;
foreach my $encoding (qw(utf8 latin1))
{
	$node->safe_psql('postgres', "CREATE DATABASE fuzz_$encoding TEMPLATE template0 ENCODING '$encoding' LOCALE 'C'");
	$node->safe_psql("fuzz_$encoding", slurp_file("$fuzz/fuzz.sql"));
}
$node->stop;

# A backend on its own: what libFuzzer prints and how it ends is seen.
sub fuzz
{
	my ($database, $time) = @_;
	my $found = PostgreSQL::Test::Utils::tempdir;
	my @arguments = (
		"-max_total_time=$time", '-max_len=2048', '-timeout=20', '-rss_limit_mb=2048', '-print_final_stats=1',
		'-handle_usr1=0', '-handle_usr2=0', '-handle_int=0', '-handle_term=0',
		"-dict=$fuzz/json.dict", "-artifact_prefix=$found/", "$found", "$fuzz/corpus");
	my $call = 'SELECT iu_fuzz(' . join(', ', map { "'$_'" } @arguments) . ')';
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'postgres', '--single', '-j', '-D', $node->data_dir, '-c', 'log_min_messages=panic', $database ],
		'<', \"$call;\n\n", '>', \$out, '2>', \$err);
	my $rc = $?;
	append_to_file("$found/log", $err);
	my ($runs) = $err =~ /^stat::number_of_executed_units: (\d+)/m;
	my ($rows) = $err =~ /^fuzz: (\d+) rows/m;
	my @findings = glob "$found/{crash,leak,timeout,oom}-*";

	ok($rc == 0 && !@findings, "$database: no finding in $time s")
	  or diag join "\n", grep({ !/^#\d+\s/ } (split /\n/, $err)[ -40 .. -1 ]),
	  map { "$_: " . encode_base64(slurp_file($_), '') } @findings;
	my @corpus = glob "$fuzz/corpus/*";
	cmp_ok($runs // 0, '>', @corpus * 2,
		"$database: every input of the corpus is run, and others made of them: " . ($runs // 0) . ' runs');
	cmp_ok($rows // 0, '>', 0, "$database: some runs hand over rows: " . ($rows // 0));
}

fuzz('fuzz_latin1', int($seconds / 4));
fuzz('fuzz_utf8', $seconds - int($seconds / 4));
done_testing();
