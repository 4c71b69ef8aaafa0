# A random load with random faults: IU::Nemesis makes them, IU::Nemesis::Checker
# judges by what clients saw and receivers got. IU_SEED begins the same run again,
# IU_NEMESIS_SECONDS says how long it is; `make nemesis` runs for half an hour.
# IU_NEMESIS_FAULTS names the faults, with blanks between, where not all are meant.
use strict;
use warnings;

use IU::Nemesis;
use IU::Nemesis::Checker;
use Test::More;

my $seed = $ENV{IU_SEED} // int(rand(1_000_000));
my $seconds = $ENV{IU_NEMESIS_SECONDS} // 35;
note("| seed $seed, $seconds s: IU_SEED=$seed runs it again |");

# Copies and promotions take half of a short run, and have tests of their own.
my @faults = $ENV{IU_NEMESIS_FAULTS} ? split(/ /, $ENV{IU_NEMESIS_FAULTS})
  : grep { $seconds >= 60 || !/^(copy|promote)$/ } IU::Nemesis::Faults->names;
my $run = IU::Nemesis->new(seed => $seed, seconds => $seconds, faults => \@faults);
$run->work;
my $seen = $run->settle;

my %done;
$done{"$_->{do} $_->{outcome}"}++ foreach @{ $seen->{op} };
note("| $_: $done{$_} |") foreach sort keys %done;
note('| ' . @{ $seen->{arrivals} } . ' requests arrived, ' . keys(%{ $seen->{explained} }) . ' are explained |');
my @well = grep { $_->{well} } @{ $seen->{health} };
note('| health was asked ' . @{ $seen->{health} } . ' times, and was well ' . @well . ' times |');
cmp_ok($done{'emit ok'} // 0, '>', 10, 'the clients emitted events');
cmp_ok(scalar @{ $seen->{arrivals} }, '>', 10, 'receivers got requests');
ok(!(grep { $_->{told} =~ /^not made/ } @{ $seen->{fault} }), 'every fault was made')
  or diag(map { "$_->{what}: $_->{told}\n" } @{ $seen->{fault} });
ok(!$run->{still}, 'when all is mended nothing stands still');
my @violations = IU::Nemesis::Checker->new($seen)->violations;
splice @violations, 30, @violations, 'and more' if @violations > 30;
is(join("\n", @violations), '', "nothing that is promised was broken, seed $seed");

done_testing();
