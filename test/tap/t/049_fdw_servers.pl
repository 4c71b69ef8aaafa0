# Who may say where secrets go, while somebody gives one; whom a server trusts;
# and the names of columns, which say what they show.
use strict;
use warnings;

use IU::Answers;
use IU::Canned;
use IU::Certificate;
use IU::Cluster;
use IU::Peer;
use IU::SQL;
use IU::Wire;
use PostgreSQL::Test::Utils;
use Test::More;

my $here = IU::Canned->start(sub {
	my ($request) = @_;
	return qdrant_result('{"aliases":[]}') if $request->{path} eq '/aliases';
	return qdrant_result('{"points":[{"id":1,"payload":{"n":7}}],"next_page_offset":null}');
});
my $authority = IU::Certificate->authority;
my $other = IU::Certificate->authority;
my $tls = IU::Peer->start('receiver');
my $port = $tls->control('tls', { names => { 'private.test' => $authority->sign('private', 'private.test') } })->{port};

my $wire = IU::Wire->new(0);
my $node = IU::Cluster->init_node('servers', {},
	'iu_core.databases' => '',
	'iu_core.allowed_origins' => join(', ', $here->url, 'http://there.test:1', "https://private.test:$port"),
	'iu_core.allowed_networks' => '127.0.0.0/8');
$wire->name('private.test', ['127.0.0.1']);
$wire->start($node);
talk_to($node);

sql(q(CREATE EXTENSION iu_core; CREATE ROLE owner LOGIN; CREATE ROLE rita LOGIN; GRANT CREATE ON SCHEMA public TO owner;
	GRANT USAGE ON FOREIGN DATA WRAPPER qdrant_fdw TO owner; SET ROLE owner;)
	  . "CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$here->url]}');"
	  . " GRANT USAGE ON FOREIGN SERVER q TO rita");

# ---- a secret that is given while the server is moved

sub session
{
	my ($role, @statements) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0,
		extra_params => [ '-U', $role, '-v', 'VERBOSITY=verbose' ]);
	$session->query($_) foreach @statements;
	return $session;
}
sub waits { return becomes(q(SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'object' AND NOT granted), $_[0]) }
sub said { my ($session) = @_; $session->quit; return $session->{stderr} }

my $move = q(ALTER SERVER q OPTIONS (SET url 'http://there.test:1'));
my $give = q(CREATE USER MAPPING FOR rita SERVER q OPTIONS (api_key 'of-rita'));
my $url = q(SELECT srvoptions::text FROM pg_foreign_server WHERE srvname = 'q');
{
	my $rita = session('rita', 'BEGIN', $give);
	my $owner = session('owner');
	start_query($owner, $move);
	waits('whoever moves a server waits while somebody gives it a secret');
	$rita->query('COMMIT');
	$rita->quit;
	like(said($owner), qr/42501: permission denied to change option "url"/,
		'and may not, once the secret is there');
	like(sql($url), qr/\Q@{[$here->url]}/, 'so the secret goes where it was given to');
}
sql('DROP USER MAPPING FOR rita SERVER q');
{
	my $owner = session('owner', 'BEGIN', $move);
	my $rita = session('rita');
	start_query($rita, $give);
	waits('whoever gives a secret waits while the server is moved');
	$owner->query('COMMIT');
	$owner->quit;
	like(said($rita), qr/55000: option "url" of foreign server "q" has changed since the command began/,
		'and is told where it would go');
	is(sql('SELECT count(*) FROM pg_user_mapping'), 0, 'so that it goes nowhere');
}
sql("ALTER SERVER q OPTIONS (SET url '@{[$here->url]}')");
{
	my $owner = session('owner', 'BEGIN', $move);
	my $rita = session('rita');
	start_query($rita, $give);
	waits('whoever gives a secret waits');
	$owner->query('ROLLBACK');
	$owner->quit;
	is(said($rita), '', 'and goes on where the server was not moved');
}
my $certificate = slurp_file($authority->file) =~ s/.*?(-----BEGIN)/$1/sr;
like(error_of("ALTER SERVER q OPTIONS (ADD ca_certificates '$certificate')", user => 'owner'),
	qr/42501: permission denied to change option "url"/,
	'nor may the owner say whom to trust where others have given secrets');

SKIP:
{
	skip 'before PostgreSQL 16 who has the rights of a role can become it', 4
	  if sql("SELECT current_setting('server_version_num')::integer < 160000") eq 't';

	sql('GRANT rita TO owner WITH INHERIT TRUE, SET FALSE');
	is(ask(q(SELECT count(umoptions) FROM pg_user_mappings WHERE usename = 'rita'), user => 'owner'), 0,
		'who has the rights of a role and cannot become it does not see its secret');
	like(error_of($move, user => 'owner'), qr/42501: permission denied to change option "url"/,
		'nor may it say where the secret goes');
	sql('GRANT rita TO owner WITH SET TRUE');
	is(ask(q(SET ROLE rita; SELECT count(umoptions) FROM pg_user_mappings WHERE usename = 'rita'), user => 'owner'), 1,
		'who can become the role sees its secret');
	is(error_of($move, user => 'owner'), '', 'and may say where it goes');
	sql("REVOKE rita FROM owner; ALTER SERVER q OPTIONS (SET url '@{[$here->url]}')");
}

# ---- whom a server trusts

sub trusting
{
	my ($name, $options) = @_;
	sql("CREATE SERVER $name FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'https://private.test:$port'$options);"
		  . "CREATE FOREIGN TABLE t_$name (collection text, points bigint)"
		  . " SERVER $name OPTIONS (resource 'collections')");
	return ask("SELECT points FROM t_$name WHERE collection = 'x'");
}
like(trusting('stranger', ''), qr/^ERROR:  HV00N: .*TLS failed.*HINT:  .*"ca_certificates"/s,
	'a server with an authority of its own is not trusted');
unlike(trusting('known', ", ca_certificates '$certificate'"), qr/TLS/, 'but for the option that holds the authority');
like(trusting('wrong', ", ca_certificates '" . slurp_file($other->file) . "'"), qr/HV00N: .*TLS failed/,
	'another authority is not enough');
like(ask("SELECT points FROM t_stranger WHERE collection = 'x'"), qr/TLS failed/,
	'a connection that one server trusts is none of another');
like(error_of(q(ALTER SERVER known OPTIONS (SET ca_certificates '/etc/ssl/certs/ca.pem'))),
	qr/HV024: .*"ca_certificates".*no certificate in PEM/s, 'the option is no name of a file');

# ---- names of columns

sql(q(CREATE FOREIGN TABLE t (id text, n integer, payload jsonb) SERVER q OPTIONS (resource 'points', collection 'c');
	CREATE FOREIGN TABLE u (collection text, id text) SERVER q OPTIONS (resource 'points')));
foreach my $column (qw(id n payload))
{
	like(error_of("ALTER FOREIGN TABLE t RENAME $column TO renamed"),
		qr/HV007: column "$column" of foreign table "t" cannot be renamed.*show another field/s,
		"a column that is told by its name cannot be renamed to show something else: $column");
}
is(ask(q(ALTER FOREIGN TABLE t ALTER n OPTIONS (ADD field 'n'); ALTER FOREIGN TABLE t RENAME n TO number;
	SELECT number FROM t)), 7, 'a column whose option says what it shows can be renamed');
is(error_of('ALTER FOREIGN TABLE t ALTER number SET STATISTICS 0; ALTER FOREIGN TABLE t ALTER id SET NOT NULL;'
	  . ' ALTER FOREIGN TABLE t DROP payload; ALTER FOREIGN TABLE t RENAME TO t2; ALTER TABLE t2 ADD x text'), '',
	'every other change goes as usual');

$node->stop;
done_testing();
