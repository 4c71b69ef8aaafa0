# What IMPORT FOREIGN SCHEMA data makes can be read with SELECT *, whatever the
# remote holds: names that collide, names of the system, values of every kind
# under every index, collections that go meanwhile.
use strict;
use warnings;

use IU::Answers;
use IU::Canned;
use IU::Cluster;
use IU::SQL;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $seed = $ENV{IU_SEED} // int(rand(1 << 30));
srand $seed;
note "IU_SEED=$seed";

# ---- generated schemas: indexes of every kind over keys of every kind, and values of every kind under them

my @kinds = qw(keyword text integer float bool datetime uuid geo unheard_of);
my $long = 'c' x 70;
my @keys = ('xmin', 'ctid', 'tableoid', 'id', 'payload', 'vector', 'filter', 'collection', '', 'n', 'Upper', 'select',
	'tags', 'a b', "quo'te", "${long}1", "${long}2", 'field', 'field_2', 'xmin_2', 'ü' x 40);
my @values = (undef, 1, -1.5, 5.0, '9223372036854775808', 'text', '', [], ['a', undef, 1], {}, { a => { b => [1] } },
	JSON::PP::true, 'not a date', '2024-02-30T00:00:00Z', 'x' x 500, "new\nline", [ [ 1 ], [ 2 ] ], 1e300);
my @names = ('plain', 'gone', $long . 'x', $long . 'y', substr($long, 0, 61) . '_2', 'Odd name',
	map { "made_$_" } 1 .. 12);
my (%schema, %points);
foreach my $name (@names)
{
	my @own = $name eq 'plain' ? @keys : grep { rand() < 0.5 } @keys;
	$schema{$name} = { map { path_of($_) => { data_type => $kinds[ rand @kinds ], points => 1 } } @own };
	$points{$name} = [ map {
			my $id = $_;
			{ id => $id, payload => { map { $_ => $values[ rand @values ] } grep { rand() < 0.9 } @own } };
		} 1 .. 20 ];
}
$schema{many} = { map { ; "k$_" => { data_type => 'keyword' } } 1 .. 2000 };
$points{many} = [ { id => 1, payload => { k1 => 'v' } } ];

sub path_of { my ($key) = @_; return $key =~ /^[A-Za-z0-9_]+$/ ? $key : qq("$key") }

sub qdrant
{
	my ($request) = @_;
	return qdrant_result($json->encode({ collections => [ map { { name => $_ } } keys %schema ] }))
		  if $request->{path} eq '/collections';
	my ($name, $rest) = $request->{path} =~ m{^/collections/([^/?]+)(/[^?]*)?}
		  or return { status => 404, body => '{}' };
	$name =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
	return qdrant_error(404, "Not found: Collection `$name` doesn't exist!") if $name eq 'gone';
	return qdrant_result($json->encode({ status => 'green', config => {}, payload_schema => $schema{$name} }))
		  unless $rest;
	return qdrant_result($json->encode({ points => $points{$name}, next_page_offset => undef }));
}

# Directus names types of columns as it understands them: numeric without precision is "integer" to it.
my @fields = (
	[ id => 'integer', 'integer', 1 ], [ amount => 'integer', 'numeric', 1.5 ],
	[ big => 'integer', 'bigint', 9007199254740991 ], [ at => 'time', 'time with time zone', '10:00:00+02' ],
	[ ratio => 'float', 'real', 0.5 ], [ xmax => 'string', 'text', 'x' ], [ tags => 'csv', 'text', [ 'a', 'b' ] ],
	[ cash => 'decimal', 'money', '$1.50' ], [ odd => 'unknown', 'inet', '10.0.0.1' ], [ flag => 'boolean', 'boolean',
	JSON::PP::true ]);

sub directus
{
	my ($request) = @_;
	return { status => 403, body => '{"errors":[{"message":"You don\'t have permission to access collection \"directus_'
		  . 'fields\" or it does not exist. Queried in root.","extensions":{"code":"FORBIDDEN"}}]}' }
		  if $request->{authorization} =~ /narrow/;
	return directus_data('{"kinds":{"read":{"access":"full","fields":["*"]}}}')
		  if $request->{path} eq '/permissions/me';
	return directus_data($json->encode([ map {
				{ collection => 'kinds', field => $_->[0], type => $_->[1],
				  schema => { data_type => $_->[2],
					  is_primary_key => $_->[0] eq 'id' ? JSON::PP::true : JSON::PP::false } }
			} @fields ])) if $request->{path} eq '/fields';
	return { status => 200, body => '{"meta":{"filter_count":1},"data":['
		  . $json->encode({ map { $_->[0] => $_->[3] } @fields }) . ']}' };
}

my %peer = (qdrant => IU::Canned->start(\&qdrant, keep => 60), directus => IU::Canned->start(\&directus, keep => 60));
my $node = IU::Cluster->new_node('imports',
	'iu_core.databases' => '',
	'iu_core.allowed_origins' => join(', ', map { $_->url } values %peer),
	'iu_core.allowed_networks' => '127.0.0.0/8');
talk_to($node);
sql('CREATE EXTENSION iu_core; CREATE SCHEMA q; CREATE SCHEMA d;'
	  . join '', map {
		"CREATE SERVER $_ FOREIGN DATA WRAPPER ${_}_fdw OPTIONS (url '@{[$peer{$_}->url]}');"
	} keys %peer);

# ---- Qdrant

my (undef, undef, $said) = (0);
is($node->psql('postgres', 'IMPORT FOREIGN SCHEMA data FROM SERVER qdrant INTO q', stderr => \$said), 0,
	'everything is imported') or diag $said;
like($said, qr/NOTICE:  collection "gone" of foreign server "qdrant" is gone, and is not imported/,
	'but for a collection that is gone meanwhile, which a notice says');
like($said, qr/NOTICE:  collection "many" has more fields than a table can have columns\nDETAIL:  504 of them/,
	'and for fields beyond the columns that a table can have');
my %table = map { split /\t/, $_, 2 }
  split /\n/, sql(q(SELECT (SELECT option_value FROM pg_options_to_table(ftoptions) WHERE option_name = 'collection')
	  || E'\t' || ftrelid::regclass FROM pg_foreign_table));
is_deeply([ sort keys %table ], [ sort grep { $_ ne 'gone' } keys %schema ], 'each collection has a table of its own');
my $wrong = 0;
foreach my $name (sort keys %table)
{
	my @columns = map { [ split /\t/, $_, 2 ] }
	  split /\n/, sql("SELECT quote_ident(attname) || E'\\t' || (SELECT option_value FROM"
		  . " pg_options_to_table(attfdwoptions) WHERE option_name = 'field') FROM pg_attribute"
		  . " WHERE attrelid = '$table{$name}'::regclass AND attnum > 0 AND attfdwoptions IS NOT NULL ORDER BY attnum");
	my $all = sql("SELECT count(*) FROM (SELECT * FROM $table{$name} OFFSET 0) x");
	my $lost = join ' + ', map {
		"count(*) FILTER (WHERE $_->[0] IS DISTINCT FROM NULLIF(payload -> " . literal($_->[1]) . ", 'null'))"
	} @columns[ 0 .. ($#columns > 50 ? 50 : $#columns) ];
	my $lost_rows = @columns ? sql("SELECT $lost FROM $table{$name}") : 0;
	next if $all == @{ $points{$name} } && $lost_rows == 0;
	diag "$name: $all rows, $lost_rows values lost";
	$wrong++;
}
is($wrong, 0, 'every table is read with SELECT *, and each column shows what the payload has');
is(ask('SELECT count("xmin_2") > 0, count(field_2) > 0 FROM q.plain'), 't|t',
	'a key that is named like a column of the system has another name, and the empty key has one');
is(ask("CREATE SCHEMA l; IMPORT FOREIGN SCHEMA data LIMIT TO (plain) FROM SERVER qdrant INTO l; SELECT count(*)"
	  . " FROM pg_foreign_table WHERE ftrelid::regclass::text ~ '^l\\.'"), 1, 'LIMIT TO imports what it names');
like(ask("IMPORT FOREIGN SCHEMA data LIMIT TO (plain) FROM SERVER qdrant INTO l OPTIONS (types 'guess')"),
	qr/^ERROR:  HV024: .*"guess" is not allowed here.*json, index/s, 'types are those of JSON or of the indexes');

# ---- Directus

is(ask('IMPORT FOREIGN SCHEMA data FROM SERVER directus INTO d; SELECT id, amount, big, at, ratio, xmax_2, tags, cash,'
	  . ' odd, flag FROM d.kinds'), '1|1.5|9007199254740991|10:00:00+02|0.5|x|{a,b}|"$1.50"|"10.0.0.1"|t',
	'Directus: columns hold what the columns of its database hold');
like(ask("CREATE USER MAPPING FOR postgres SERVER directus OPTIONS (token 'narrow'); CREATE SCHEMA n;"
	  . ' IMPORT FOREIGN SCHEMA data FROM SERVER directus INTO n'),
	qr/^ERROR:  42501: .*the token may not read which fields they have\n.*HINT:  Give.*CREATE FOREIGN TABLE/s,
	'a token that may not read fields is told so, and what it may do instead');

$node->stop;
done_testing();
