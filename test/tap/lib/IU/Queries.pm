# IU::Queries: random queries over foreign tables, each of which must give the
# same rows over copies of them.
#
#   my $queries = IU::Queries->new($seed, %data);
#   my $query = $queries->next;             # with {P}, {T}, {C} where a relation stands, $1 and $2 for parameters
#   my ($word, @names) = $queries->parameters;
#
# The relations, and what %data tells of them:
#   {P} (collection text, id text, doc jsonb)      rows of several collections
#   {T} (id text, n numeric, s text, b boolean)    rows of one collection, typed
#   {C} (collection text, total bigint)            the collections, counted
#   names (name text, k text), keys (k text, n integer)   local tables, with names and ids that are not there
#   collections => [...]   that are there; ids => [...]; texts => [...], values of s; members => [...], of doc
package IU::Queries;

use strict;
use warnings;

sub new
{
	my ($class, $seed, %data) = @_;
	return bless { state => $seed % 2147483647 || 1, %data }, $class;
}

# ---- chance, the same for the same seed whatever the Perl

sub random
{
	my ($self, $most) = @_;
	$self->{state} = $self->{state} * 48271 % 2147483647;
	return $self->{state} % $most;
}
sub one_of { my ($self, @what) = @_; return $what[ $self->random(scalar @what) ] }
sub chance { my ($self, $percent) = @_; return $self->random(100) < $percent }

sub some_of
{
	my ($self, @what) = @_;
	return map { $self->one_of(@what) } 0 .. $self->random(4);
}

sub literal { my ($self, $text) = @_; return "'" . ($text =~ s/'/''/gr) . "'" }
sub literals { my ($self, @texts) = @_; return join ', ', map { $self->literal($_) } @texts }

# ---- conditions

sub on_text
{
	my ($self, $column, @values) = @_;
	my @some = $self->some_of(@values);
	return $self->one_of(
		"$column = " . $self->literal($some[0]), "$column IN (" . $self->literals(@some) . ')',
		"$column = ANY (ARRAY[" . $self->literals(@some) . ']::text[])', "$column <> " . $self->literal($some[0]),
		"$column IS NOT NULL", "$column > " . $self->literal($some[0]),
		"$column NOT IN (" . $self->literals(@some) . ')',
		"starts_with($column, " . $self->literal(substr $some[0], 0, 2) . ')');
}

sub on_id { my ($self, $name) = @_; return $self->on_text("$name.id", @{ $self->{ids} }) }
sub on_collection { my ($self, $name) = @_; return $self->on_text("$name.collection", @{ $self->{collections} }) }

sub on_doc
{
	my ($self, $name) = @_;
	my $member = $self->literal($self->one_of(@{ $self->{members} }));
	my $value = $self->literal($self->one_of(@{ $self->{texts} }));
	return $self->one_of("$name.doc ->> $member = $value", "$name.doc ->> $member IS NULL", "$name.doc ? $member",
		"jsonb_typeof($name.doc -> $member) = 'number'", "$name.doc -> $member = '[]'",
		"$name.doc ->> $member <> $value", "$name.doc -> $member = to_jsonb($value\::text)",
		"(CASE WHEN jsonb_typeof($name.doc -> $member) = 'number' THEN ($name.doc ->> $member)::numeric END) >= 9");
}

sub on_typed
{
	my ($self, $name) = @_;
	my $n = $self->one_of(-1, 0, 5, 9, '9.5', 9007199254740993);
	return $self->one_of("$name.n = $n", "$name.n > $n", "$name.n IS NULL", "NOT $name.b", "$name.b IS NOT TRUE",
		$self->on_text("$name.s", @{ $self->{texts} }), "$name.s IS NULL");
}

sub on_counted
{
	my ($self, $name) = @_;
	return $self->one_of($self->on_collection($name), "$name.total > 5", "$name.total = 0");
}

# A condition on a row of this relation: P, T or C.
sub condition
{
	my ($self, $of, $name, $depth) = @_;
	$depth //= 0;
	if ($depth < 2 && $self->chance(35))
	{
		my @parts = map { $self->condition($of, $name, $depth + 1) } 1 .. 2 + $self->random(2);
		my $word = $self->one_of('AND', 'OR', 'OR');
		return ($self->chance(10) ? 'NOT ' : '') . '(' . join(" $word ", @parts) . ')';
	}
	return $self->on_counted($name) if $of eq 'C';
	return $self->one_of($self->on_id($name), $self->on_typed($name)) if $of eq 'T';
	return $self->one_of($self->on_collection($name), $self->on_id($name), $self->on_doc($name));
}

sub where
{
	my ($self, $of, $name, $word) = @_;
	return $self->chance(25) ? '' : ($word // ' WHERE ') . $self->condition($of, $name);
}

# ---- what is selected

my %columns = (P => [qw(collection id doc)], T => [qw(id n s b)], C => [qw(collection total)]);
my %key = (P => [qw(collection id)], T => ['id'], C => ['collection']);

sub columns
{
	my ($self, $of, $name) = @_;
	my @columns = grep { $self->chance(60) } @{ $columns{$of} };
	return join ', ', map { "$name.$_" } @columns ? @columns : $key{$of}[0];
}

sub order
{
	my ($self, $of, $name) = @_;
	my $order = ' ORDER BY ' . join ', ', map { "$name.$_" . ($self->chance(20) ? ' DESC' : '') } @{ $key{$of} };
	$order .= ' LIMIT ' . (1 + $self->random(12)) if $self->chance(70);
	return $order . ($self->chance(40) ? ' OFFSET ' . $self->random(9) : '');
}

# ---- shapes

sub single
{
	my ($self, $of) = @_;
	return "SELECT " . $self->columns($of, 'x') . " FROM {$of} x" . $self->where($of, 'x')
	  . ($self->chance(40) ? $self->order($of, 'x') : '');
}

sub counted
{
	my ($self, $of) = @_;
	my $group = $key{$of}[0];
	my $what = $self->one_of('count(*)', "count(*), max(x.$group)", "count(DISTINCT x.$group)", 'count(*) * 2 + 1',
		"count(*) FILTER (WHERE x.$group > 'd')");
	return "SELECT $what FROM {$of} x" . $self->where($of, 'x') if $self->chance(50);
	return "SELECT x.$group, $what FROM {$of} x" . $self->where($of, 'x') . " GROUP BY x.$group"
	  . ($self->chance(30) ? ' HAVING count(*) > 1' : '');
}

sub joined
{
	my ($self) = @_;
	my $join = $self->one_of('JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'JOIN', 'FULL JOIN');
	my ($of, $local, $on) = @{ $self->one_of([ 'P', 'names', 'x.collection = l.name' ],
		[ 'P', 'names', 'x.collection = l.name AND x.id = l.k' ], [ 'P', 'keys', 'x.id = l.k' ],
		[ 'C', 'names', 'x.collection = l.name' ], [ 'T', 'keys', 'x.id = l.k' ], [ 'T', 'keys', 'x.n = l.n' ]) };
	my $more = $join ne 'FULL JOIN' && $self->chance(40) ? ' AND ' . $self->condition($of, 'x') : '';
	my $columns = $self->chance(25) ? 'count(*)' : 'l.*, ' . $self->columns($of, 'x');
	return $self->chance(50) ? "SELECT $columns FROM $local l $join {$of} x ON $on$more" . $self->where($of, 'x')
		  : "SELECT $columns FROM {$of} x $join $local l ON $on$more" . $self->where($of, 'x');
}

sub both
{
	my ($self) = @_;
	my $join = $self->one_of('JOIN', 'LEFT JOIN', 'JOIN');
	my ($of, $other, $on) = @{ $self->one_of([ 'T', 'P', 'x.id = y.id' ], [ 'C', 'P', 'x.collection = y.collection' ],
		[ 'P', 'P', 'x.collection = y.collection AND x.id = y.id' ], [ 'P', 'C', 'x.collection = y.collection' ]) };
	my $columns = $self->chance(40) ? 'count(*)' : $self->columns($of, 'x') . ', ' . $self->columns($other, 'y');
	return "SELECT $columns FROM {$of} x $join {$other} y ON $on" . $self->where($other, 'y', ' AND ')
	  . $self->where($of, 'x');
}

sub lateral
{
	my ($self) = @_;
	my $join = $self->one_of('CROSS JOIN LATERAL', 'LEFT JOIN LATERAL');
	my ($of, $local, $on) = @{ $self->one_of([ 'P', 'names', 'x.collection = l.name' ],
		[ 'P', 'keys', 'x.id = l.k' ], [ 'C', 'names', 'x.collection = l.name' ], [ 'T', 'keys', 'x.id = l.k' ]) };
	my $inner = $self->chance(40)
	  ? "SELECT count(*) AS c, min(x.$key{$of}[0]) AS m FROM {$of} x WHERE $on" . $self->where($of, 'x', ' AND ')
	  : 'SELECT ' . $self->columns($of, 'x') . " FROM {$of} x WHERE $on" . $self->where($of, 'x', ' AND ')
	  . ($self->chance(50) ? $self->order($of, 'x') : '');
	return "SELECT * FROM $local l $join ($inner) i" . ($join =~ /LEFT/ ? ' ON true' : '');
}

sub within
{
	my ($self) = @_;
	my ($of, $column, $local, $other) = @{ $self->one_of([ 'P', 'collection', 'names', 'name' ],
		[ 'P', 'id', 'keys', 'k' ], [ 'C', 'collection', 'names', 'name' ], [ 'T', 'id', 'keys', 'k' ]) };
	my $list = "SELECT l.$other FROM $local l" . ($self->chance(30) ? " WHERE l.$other IS NOT NULL" : '');
	my $found = "SELECT 1 FROM $local l WHERE l.$other = x.$column";
	my $columns = $self->columns($of, 'x');
	return $self->one_of(
		"SELECT $columns FROM {$of} x WHERE x.$column IN ($list)" . $self->where($of, 'x', ' AND '),
		"SELECT $columns FROM {$of} x WHERE x.$column NOT IN ($list)",
		"SELECT $columns FROM {$of} x WHERE x.$column = ANY (ARRAY($list))" . $self->where($of, 'x', ' AND '),
		"SELECT $columns FROM {$of} x WHERE EXISTS ($found)" . $self->where($of, 'x', ' AND '),
		"SELECT $columns FROM {$of} x WHERE NOT EXISTS ($found)" . $self->where($of, 'x', ' AND '),
		"SELECT l.$other, EXISTS (SELECT 1 FROM {$of} x WHERE x.$column = l.$other"
		  . $self->where($of, 'x', ' AND ') . ") FROM $local l",
		"SELECT l.$other, (SELECT count(*) FROM {$of} x WHERE x.$column = l.$other"
		  . $self->where($of, 'x', ' AND ') . ") FROM $local l",
		"SELECT l.$other FROM $local l WHERE l.$other IN (SELECT x.$column FROM {$of} x" . $self->where($of, 'x') . ')',
		"SELECT l.$other FROM $local l WHERE l.$other NOT IN (SELECT x.$column FROM {$of} x" . $self->where($of, 'x')
		  . ')');
}

sub windowed
{
	my ($self) = @_;
	my $of = $self->one_of('P', 'P', 'T');
	my ($group, $order) = $of eq 'P' ? ('x.collection', 'x.id') : ('x.b', 'x.id');
	my $what = $self->one_of('row_number()', 'rank()', 'lag(x.id)', 'count(*)');
	my $inner = "SELECT x.id, $what OVER (PARTITION BY $group ORDER BY $order) AS w FROM {$of} x"
	  . $self->where($of, 'x');
	return $self->chance(50) ? $inner : "SELECT * FROM ($inner) i WHERE w::text < '4'";
}

sub set
{
	my ($self) = @_;
	my $of = $self->one_of('P', 'T', 'C');
	my $columns = $self->columns($of, 'x');
	my $word = $self->one_of('UNION ALL', 'UNION', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL');
	my $set = join " $word ", map { "SELECT $columns FROM {$of} x" . $self->where($of, 'x') } 1 .. 2;
	return $self->chance(50) ? $set : "SELECT count(*) FROM ($set) i";
}

sub named
{
	my ($self) = @_;
	my $of = $self->one_of('P', 'T', 'C');
	my $columns = join ', ', map { "x.$_" } @{ $columns{$of} };
	my $how = $self->one_of('MATERIALIZED', 'NOT MATERIALIZED');
	return "WITH w AS $how (SELECT $columns FROM {$of} x" . $self->where($of, 'x') . ') SELECT '
	  . $self->columns($of, 'a') . ', ' . $self->columns($of, 'z') . " FROM w a "
	  . $self->one_of('JOIN', 'LEFT JOIN') . " w z USING ($key{$of}[0])" . $self->where($of, 'a');
}

sub with_parameters
{
	my ($self) = @_;
	return $self->one_of(
		'SELECT x.collection, x.id FROM {P} x WHERE x.collection = ANY ($2)' . $self->where('P', 'x', ' AND '),
		'SELECT count(*) FROM {P} x WHERE x.collection = ANY ($2)',
		'SELECT x.collection, count(*) FROM {P} x WHERE x.collection = ANY ($2) GROUP BY 1',
		'SELECT x.id, x.n FROM {T} x WHERE x.id = $1' . $self->where('T', 'x', ' OR '),
		'SELECT x.id FROM {P} x WHERE x.id = $1 AND x.collection = ANY ($2)' . $self->where('P', 'x', ' AND '),
		'SELECT x.collection, x.total FROM {C} x WHERE x.collection = ANY ($2)' . $self->where('C', 'x', ' AND '),
		'SELECT l.name, x.id FROM names l LEFT JOIN {P} x ON x.collection = l.name AND x.collection = ANY ($2)'
		  . $self->where('P', 'x', ' AND ') . ' WHERE l.name IS NOT NULL OR x.id = $1');
}

# An id or the like for $1, and names of collections that are there for $2.
sub parameters
{
	my ($self) = @_;
	return ($self->one_of(@{ $self->{ids} }), $self->some_of(@{ $self->{collections} }));
}

my @shapes = qw(single counted joined joined both lateral within within windowed set named with_parameters);

sub next
{
	my ($self) = @_;
	my $shape = $self->one_of(@shapes);
	return $self->$shape($self->one_of('P', 'P', 'T', 'C'));
}

1;
