# Random filters and selections of payloads, without indexes and with random ones:
# the stand-in for Qdrant finds the points that Qdrant's own code finds. That is
# the Python module which Qdrant builds of its code for segments, here of 1.18.3.
# Beginning with IU_SEED (1) so many seeds are tried as IU_STEPS says (6). What Qdrant
# answers differently from one plan to the next is left out, see ask.py.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use IPC::Run qw(run);
use JSON::PP qw(decode_json);
use Test::More;

my $peers = abs_path('peers');    # tests run in test/
my $python = $ENV{IU_QDRANT_EDGE} or plan skip_all => "Qdrant's own code cannot be had";

my $first = $ENV{IU_SEED} // 1;
note "IU_SEED=$first";
foreach my $seed ($first .. $first + ($ENV{IU_STEPS} // 6) - 1)
{
	my ($told, $differences, $problem);
	run([ $python, "$peers/qdrant_edge/ask.py", $seed, tempdir(CLEANUP => 1) ], '>', \$told, '2>', \$problem)
	  or die "ask.py $seed: $problem";
	run([ 'node', "$peers/qdrant_edge/compare.js" ], '<', \$told, '>', \$differences, '2>', \$problem)
	  or die "compare.js $seed: $problem";
	is_deeply(decode_json($differences), [],
		"400 filters and 30 selections are understood as Qdrant's own code does: IU_SEED=$seed");
}
done_testing();
