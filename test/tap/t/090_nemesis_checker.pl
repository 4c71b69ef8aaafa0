# The checker of the nemesis is right: a good history passes, and each history
# that breaks one promise is caught, with that promise's name.
use strict;
use warnings;

use IU::Nemesis::Checker;
use Test::More;

my %routes = (plain => { held => 1 }, ordered => { ordering => 'subject' }, broken => { fails => 1 });

sub id { return sprintf('00000000-0000-4000-8000-%012d', $_[0]) }

sub op
{
	my ($do, $at, %more) = @_;
	return { do => $do, invoked => $at, completed => $at + 1, outcome => 'ok', %more };
}

sub emitted { my ($n, $at, %more) = @_; return op('emit', $at, event => id($n), subject => 'a', %more) }

sub arrived
{
	my ($n, $at, $route, $replay) = @_;
	$replay //= 0;
	return { at => $at, route => $route, tail => substr(id($n), -12), replay => $replay,
		id => "msg_${n}_${route}_$replay" };
}

sub everywhere { my ($n, $at) = @_; return map { arrived($n, $at, $_) } sort keys %routes }

# Events 1 and 2 of one subject; the gate is open from 0 to 100, as far as is known.
sub good
{
	my (%more) = @_;
	my %seen = (
		routes => \%routes,
		op => [
			op('open', 0, ttl => 3600, approval => 'x', transition => 't1'),
			emitted(1, 10), emitted(2, 20),
			op('close', 100, transition => 't2'),
		],
		fault     => [],
		health    => [],
		arrivals  => [ everywhere(1, 12), everywhere(2, 22) ],
		explained => {},
		ledger    => { t1 => 'open', t2 => 'close' },
		verify    => 'ok');
	foreach my $part (keys %more)
	{
		$seen{$part} = ref $seen{$part} eq 'ARRAY' ? [ @{ $seen{$part} }, @{ $more{$part} } ] : $more{$part};
	}
	$seen{op} = [ sort { $a->{invoked} <=> $b->{invoked} } @{ $seen{op} } ];
	return \%seen;
}

sub passes
{
	my ($name, %more) = @_;
	return is(join("\n", IU::Nemesis::Checker->new(good(%more))->violations), '', $name);
}

# What is found, all of it, begins so.
sub caught
{
	my ($name, $pattern, %more) = @_;
	my @violations = IU::Nemesis::Checker->new(good(%more))->violations;
	ok(@violations && !grep({ !/$pattern/ } @violations), $name)
	  or diag(@violations ? @violations : 'nothing is found');
	return;
}

sub well { my ($from, $until) = @_; return [ map { { at => $_, well => 1 } } $from .. $until ] }

passes('a history in which all is well passes');

# ---- Arrival

caught('an event that did not arrive on one route is lost', qr/^lost: event \S+0003 .* route broken/,
	op => [ emitted(3, 30) ], arrivals => [ arrived(3, 31, 'plain'), arrived(3, 31, 'ordered') ]);
caught('an explanation that no client knows a reason for does not excuse', qr/^lost: .*before_start/,
	op => [ emitted(3, 30) ], arrivals => [ arrived(3, 31, 'plain'), arrived(3, 31, 'ordered') ],
	explained => { 'broken ' . id(3) => 'before_start' });
passes('an event from before a new arming is explained',
	op => [ emitted(3, 30), op('arm', 40, route => 'broken') ],
	arrivals  => [ arrived(3, 31, 'plain'), arrived(3, 31, 'ordered') ],
	explained => { 'broken ' . id(3) => 'before_start' });
caught('an event from after a new arming is not explained by it', qr/^lost: /,
	op => [ emitted(3, 30), op('arm', 20, route => 'broken') ],
	arrivals  => [ arrived(3, 31, 'plain'), arrived(3, 31, 'ordered') ],
	explained => { 'broken ' . id(3) => 'before_start' });
passes('an event whose commit is unknown need not arrive', op => [ emitted(3, 30, outcome => 'unknown') ]);
caught('an event that came from elsewhere is lost as well', qr/^lost: .*\(foreign/,
	op => [ emitted(3, 30, do => 'foreign') ]);
caught('an event that was refused does not arrive', qr/^unheard of: /,
	op => [ emitted(3, 30, outcome => 'failed') ], arrivals => [ arrived(3, 31, 'plain') ]);
caught('an event of a copy does not arrive', qr/^copied: /,
	op => [ op('copied', 30, event => id(3)) ], arrivals => [ arrived(3, 31, 'plain') ]);

# ---- Order

caught('an event that arrives before an earlier one of its subject is out of order',
	qr/^disordered: on route ordered/,
	op => [ emitted(3, 30), emitted(4, 40) ],
	arrivals => [ everywhere(4, 41), everywhere(3, 42) ]);
passes('events of two subjects have no order',
	op => [ emitted(3, 30), emitted(4, 40, subject => 'b') ],
	arrivals => [ everywhere(4, 41), everywhere(3, 42) ]);
passes('events that were emitted at the same time have no order',
	op => [ emitted(3, 30, completed => 41), emitted(4, 40) ],
	arrivals => [ everywhere(4, 41), everywhere(3, 42) ]);

# ---- The gate

my $late = 100 + IU::Nemesis::Checker::UNDER_WAY + 2;
caught('nothing arrives after a close', qr/^sent while closed: /,
	op => [ emitted(3, 90) ], arrivals => [ everywhere(3, $late) ]);
passes('what was under way at a close may arrive', op => [ emitted(3, 99) ], arrivals => [ everywhere(3, 103) ]);
passes('what was under way in a process that stood still may arrive when it goes on',
	op => [ emitted(3, 99) ], arrivals => [ everywhere(3, 119) ],
	fault => [ { what => 'freeze', invoked => 99, completed => 118, kills => 0 } ]);
caught('nothing arrives after the time of an opening', qr/^sent while closed: /,
	op => [ op('open', 200, ttl => 10, approval => 'y'), emitted(3, 205) ], arrivals => [ everywhere(3, 230) ]);
passes('a renewal goes on',
	op => [ op('open', 200, ttl => 10, approval => 'y'), op('renew', 209, ttl => 30, approval => 'z'),
		emitted(3, 205) ],
	arrivals => [ everywhere(3, 230) ]);
passes('an opening on a standing approval goes on',
	op => [ op('open', 200, ttl => 10, approval => 'y', standing => 1), emitted(3, 205) ],
	arrivals => [ everywhere(3, 230) ]);
caught('nothing arrives after a revocation', qr/^sent while closed: /,
	op => [
		op('open', 200, ttl => 10, approval => 'y', standing => 1), emitted(3, 205),
		op('revoke', 210, approval => 'y')
	],
	arrivals => [ everywhere(3, 230) ]);
passes('a close that may not have happened closes nothing for the checker',
	op => [
		op('open', 200, ttl => 3600, approval => 'y'), emitted(3, 205), op('close', 210, outcome => 'unknown')
	],
	arrivals => [ everywhere(3, 230) ]);

# ---- Repeats

caught('a repeat without a reason is caught', qr/^repeated: /, arrivals => [ arrived(1, 50, 'plain') ]);
passes('what was under way when a process was killed may be repeated', arrivals => [ arrived(1, 15, 'plain') ],
	fault => [ { what => 'kill', invoked => 13, completed => 14, kills => 1 } ]);
caught('what stood still excuses no repeat', qr/^repeated: /, arrivals => [ arrived(1, 15, 'plain') ],
	fault => [ { what => 'freeze', invoked => 13, completed => 14, kills => 0 } ]);
passes('a receiver that fails is asked again', arrivals => [ arrived(1, 50, 'broken') ]);
caught('a replay that somebody was told of arrives', qr/^replay lost: /,
	op => [ op('replay', 50, id => 'msg_1_broken_1') ]);
passes('a replay that arrived is well', op => [ op('replay', 50, id => 'msg_1_broken_1') ],
	arrivals => [ arrived(1, 52, 'broken', 1) ]);

# ---- The ledger

caught('an opening that is not in the ledger is caught', qr/^not in the ledger: open t3/,
	op => [ op('open', 50, ttl => 1, approval => 'y', transition => 't3') ]);
caught('a close that the ledger has as something else is caught', qr/^not in the ledger: close t2/,
	ledger => { t1 => 'open', t2 => 'open' });
caught('a ledger that does not verify is caught', qr/^the ledger does not verify: /, verify => 'broken at 3');

# ---- Standing still

my $patience = IU::Nemesis::Checker::PATIENCE;
my @still = (
	op       => [ op('open', 200, ttl => 3600, approval => 'y'), emitted(3, 205) ],
	arrivals => [ everywhere(3, 210 + 2 * $patience) ]);
caught('what stands still with health OK is caught', qr/^stands still with health OK: /,
	@still, health => well(206, 207 + $patience));
passes('what stands still may do so while health is red', @still,
	health => [ map { { %$_, well => 0 } } @{ well(206, 207 + $patience) } ]);
passes('what stands still is not judged where health could not be asked', @still,
	health => [ { at => 206, well => 1 }, { at => 207 + $patience, well => 1 } ]);
passes('what a person closed stands still as it should',
	op       => [ @{ $still[1] }, op('close', 206), op('open', 208 + $patience, ttl => 3600, approval => 'z') ],
	arrivals => $still[3], health => well(207, 208 + $patience));
passes('what a person holds stands still as it should',
	op       => [ @{ $still[1] }, map { op('hold', 206, route => $_) } sort keys %routes ],
	arrivals => $still[3], health => well(207, 208 + $patience));
caught('a gate whose time is over is nobody\'s decision', qr/^stands still with health OK: /,
	op => [ op('open', 200, ttl => 10, approval => 'y'), emitted(3, 209), op('open', 300, ttl => 10, approval => 'y') ],
	arrivals => [ everywhere(3, 302) ],
	health   => well(212, 213 + $patience));

done_testing();
