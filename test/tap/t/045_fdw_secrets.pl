# Secrets of user mappings: given in the mapping or by file and then used, by
# every way a foreign table is used, they are in no log line, no error, no
# EXPLAIN, no view of activity and no dump of who may not see them; and nobody
# sends them where their owner did not mean them to go.
use strict;
use warnings;

use IU::Canned;
use IU::Cluster;
use IU::SQL qw(talk_to becomes start_query);
use IU::Lines;
use PostgreSQL::Test::Utils;
use Test::More;

# ---- a remote for both wrappers, at several places

# It quotes what it was given in whatever way it is asked to.
sub remote
{
	my ($request) = @_;
	my $given = $request->{'api-key'} ne '' ? $request->{'api-key'} : $request->{authorization} =~ s/^Bearer //r;
	my ($name) = $request->{path} =~ m{^/(?:collections|items)/([^/?]+)};
	my $spelled = join '', map { sprintf '\\u%04x', ord } split //, $given;
	my %echo = (
		echo_error => { status => 500,
			body => qq({"status":{"error":"you sent $given"},"errors":[{"message":"you sent $given"}]}) },
		echo_spelled => { status => 500,
		body => qq({"status":{"error":"you sent $spelled"},"errors":[{"message":"you sent $spelled"}]}) },
		echo_plain => { status => 401, body => "no such key: $given", type => 'text/plain' },
		echo_cut => { status => 500, body => ('x' x 190) . " $given", type => 'text/plain' },
		echo_json => { status => 200, body => qq({"x": $given}) },
		echo_begin => { status => 200, body => qq($given) },
		echo_count => { status => 200, body => qq({"result":{"count":"$given"},"data":[{"count":"$given"}]}) },
		echo_status => { status => 400,
		body => qq({"status":{"error":"Bad request: Limit exceeded $given > 0 for \\"limit\\""},)
			  . qq("errors":[{"message":"$given"}]}) },
		echo_type => { status => 500, body => '', type => "text/$given" },
		echo_value => { status => 200,
			body => qq({"result":{"points":[{"id":1,"payload":{"n":"$given"}}],"next_page_offset":null},)
			  . qq("meta":{"filter_count":1},"data":[{"id":1,"n":"$given"}]}) },
		echo_id => { status => 200,
			body => qq({"result":{"points":[{"id":"$given","payload":{"n":"x"}}],"next_page_offset":null},)
			  . qq("meta":{"filter_count":1},"data":[{"id":{"$given":1},"n":"x"}]}) });

	return { status => 404, body => '' } if $request->{path} =~ m{^/permissions};
	return { status => 200,
		body => '{"result":{"collections":[{"name":"one"}]},"data":[{"collection":"one","schema":{}}]}' }
	  if $request->{path} eq '/collections';
	return { hang => 1 } if defined $name && $name eq 'hang';
	return $echo{$name} if defined $name && $echo{$name};
	return { status => 200, body => '{"result":{"points":[{"id":1,"payload":{"n":5}}],"next_page_offset":null},'
		  . '"meta":{"filter_count":1},"data":[{"id":1,"n":5}]}' }
		  if $request->{path} =~ /scroll|fields|limit/ || $request->{method} eq 'SEARCH';
	return { status => 200, body => '{"result":{"count":7},"data":[{"count":"7"}]}' };
}

my %peer = map { $_ => IU::Canned->start(\&remote) } qw(here there forbidden);
my $node = IU::Cluster->init_node('secrets', {}, 'iu_core.databases' => '', 'iu_core.allowed_networks' => '127.0.0.0/8',
	'iu_core.allowed_origins' => join(', ', map { $peer{$_}->url } qw(here there)));
$node->start;
my $file = $node->basedir . '/secret';

# The secrets that each role's requests must carry, and that nobody must see.
my %secret = (rita => 's3cret-of-rita', ann => 's3cret-of-ann', shared => 's3cret-for-all', file => 's3cret-in-a-file',
	owner => 's3cret-of-owner');
append_to_file($file, "$secret{file}\n");
chmod 0600, $file;

talk_to($node);

sub ask_raw
{
	my ($query, %more) = @_;
	my ($stdout, $stderr) = ('', '');
	$node->psql('postgres', $query, stdout => \$stdout, stderr => \$stderr,
		extra_params => [ '-v', 'VERBOSITY=verbose', '-U', $more{as} // 'postgres' ]);
	$stderr =~ s/^psql:[^ ]* //mg;
	$stderr =~ s/^LOCATION:.*\n?//mg;
	return ($stdout, $stderr);
}
sub sql { my ($out, $err) = ask_raw(@_); return $err =~ /ERROR|FATAL/ ? $err : $out }
sub as { my ($role, $query) = @_; return sql($query, as => $role) }

# What was sent to a peer while this runs: the secrets, in order.
sub sent
{
	my ($peer, $code) = @_;
	my (undef, @asked) = $peer{$peer}->asked($code);
	return map { $_->{'api-key'} ne '' ? $_->{'api-key'} : $_->{authorization} =~ s/^Bearer //r } @asked;
}

$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION iu_core;
CREATE ROLE owner LOGIN; CREATE ROLE rita LOGIN; CREATE ROLE ann LOGIN; CREATE ROLE stranger LOGIN;
CREATE ROLE reader LOGIN IN ROLE pg_read_all_data, pg_read_all_stats, pg_read_all_settings;
GRANT CREATE, USAGE ON SCHEMA public TO owner, rita, ann, stranger;
GRANT USAGE ON FOREIGN DATA WRAPPER qdrant_fdw, directus_fdw TO owner, stranger;
SET ROLE owner;
CREATE SERVER q FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$peer{here}->url]}');
CREATE SERVER d FOREIGN DATA WRAPPER directus_fdw OPTIONS (url '@{[$peer{here}->url]}');
GRANT USAGE ON FOREIGN SERVER q, d TO rita, ann;
CREATE FOREIGN TABLE qc (collection text, points bigint, error text) SERVER q OPTIONS (resource 'collections');
CREATE FOREIGN TABLE dc (collection text, items bigint, error text) SERVER d OPTIONS (resource 'collections');
CREATE FOREIGN TABLE qnull (collection text, points bigint, error text) SERVER q
  OPTIONS (resource 'collections', on_error 'null');
CREATE FOREIGN TABLE dnull (collection text, items bigint, error text) SERVER d
  OPTIONS (resource 'collections', on_error 'null');
CREATE FOREIGN TABLE qp (collection text, id text, payload jsonb) SERVER q OPTIONS (resource 'points');
CREATE FOREIGN TABLE di (collection text, id text, item jsonb) SERVER d OPTIONS (resource 'items');
GRANT SELECT ON qc, dc, qnull, dnull, qp, di TO rita, ann;
RESET ROLE;
CREATE USER MAPPING FOR rita SERVER q OPTIONS (api_key '$secret{rita}');
CREATE USER MAPPING FOR rita SERVER d OPTIONS (token '$secret{rita}');
CREATE USER MAPPING FOR ann SERVER q OPTIONS (api_key_file '$file');
CREATE USER MAPPING FOR ann SERVER d OPTIONS (token_file '$file');
CREATE USER MAPPING FOR owner SERVER q OPTIONS (api_key '$secret{owner}');
CREATE FOREIGN TABLE qn (n integer) SERVER q OPTIONS (resource 'points', collection 'echo_value');
CREATE FOREIGN TABLE dn (n integer) SERVER d OPTIONS (resource 'items', collection 'echo_value');
GRANT SELECT ON qn, dn TO rita, ann;
SQL

# ---- used, with everything logged that can be

my $log_from = -s $node->logfile;
my $lacks_plans = IU::Cluster->lacks_module('auto_explain');
IU::Cluster->reload($node, log_statement => 'all', log_min_messages => 'debug5', log_min_error_statement => 'debug5',
	log_error_verbosity => 'verbose', log_duration => 'on',
	debug_print_parse => 'on', debug_print_rewritten => 'on', debug_print_plan => 'on', log_executor_stats => 'on',
	log_connections => 'on', log_lock_waits => 'on',
	session_preload_libraries => $lacks_plans ? '' : 'auto_explain', 'auto_explain.log_min_duration' => '0',
	'auto_explain.log_analyze' => 'on', 'auto_explain.log_verbose' => 'on',
	'auto_explain.log_settings' => 'on', 'auto_explain.log_nested_statements' => 'on', compute_query_id => 'on');
sql('ALTER ROLE rita SET client_min_messages = debug5; ALTER ROLE ann SET client_min_messages = debug5');

my $seen = '';
my @echoes = qw(echo_error echo_spelled echo_plain echo_cut echo_json echo_begin echo_count echo_status echo_type);
foreach my $role (qw(rita ann))
{
	my @queries = (
		(map { my $table = $_; map {; "SELECT * FROM $table WHERE collection = '$_'" } 'one',
		@echoes } qw(qc dc qnull dnull)),
		(map { my $table = $_; map {; "SELECT count(*) FROM $table WHERE collection = '$_'",
		"SELECT id FROM $table WHERE collection = '$_'" } 'one', @echoes, 'echo_id' } qw(qp di)),
		'SELECT collection FROM qc', 'SELECT * FROM dc', 'SELECT n FROM qn', 'SELECT n FROM dn', 'ANALYZE qc',
		(map {; "EXPLAIN ($_) SELECT collection, points, d.items FROM qc JOIN dc d USING (collection)"
				  . " WHERE collection = 'one'" }
			'VERBOSE', 'ANALYZE, VERBOSE, BUFFERS, WAL, SETTINGS',
				map {; "ANALYZE, VERBOSE, SETTINGS, FORMAT $_" } qw(JSON XML YAML TEXT)),
		"EXPLAIN (VERBOSE) SELECT count(*) FROM qp WHERE collection = 'one'",
		"PREPARE p(text) AS SELECT points FROM qc WHERE collection = \$1; EXECUTE p('one'); EXPLAIN (ANALYZE, VERBOSE)"
		  . " EXECUTE p('one')",
		q(DO $$ BEGIN PERFORM points FROM qc WHERE collection = 'echo_plain'; EXCEPTION WHEN OTHERS THEN RAISE WARNING
		  '%', SQLERRM; END $$),
		q(SELECT * FROM pg_foreign_server; SELECT * FROM pg_settings; SELECT * FROM pg_stat_activity;
		  SELECT * FROM pg_prepared_statements; SELECT * FROM pg_cursors; SELECT * FROM pg_backend_memory_contexts;
		  SELECT * FROM pg_stats),
		"SET statement_timeout = '300ms'; SELECT * FROM qc WHERE collection = 'hang'");
	my @carried = sent('here', sub { $seen .= join "\n", ask_raw("$_;", as => $role) for @queries });
	my $own = $secret{ $role eq 'ann' ? 'file' : $role };
	is_deeply([ grep { $_ ne $own } @carried ], [], "every request of $role carries the secret of $role");
	cmp_ok(scalar @carried, '>', 60, "$role makes more than 60 requests: " . @carried);
}
like($seen, qr/left out: it quotes the secret/, 'the remote quotes the secret in its answers');
like($seen, qr/Remote Request/, 'plans are shown');
my $any = join '|', map { quotemeta } values %secret;
unlike($seen, qr/$any/, 'no secret is in rows, errors, messages and plans, debug5 included');

# activity, seen by who may see all of it
{
	my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'rita' ]);
	start_query($session, "SELECT * FROM qc WHERE collection = 'hang'");
	becomes(q(SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'rita' AND wait_event ~
		  'IuCoreRemote|Extension')), 'a request of rita waits for an answer that never comes');
	my $activity = as('reader', 'SELECT a FROM pg_stat_activity a');
	like($activity, qr/hang/, 'who reads all activity sees the query of a request that waits');
	unlike($activity, qr/$any/, 'who reads all activity sees no secret');
	sql(q(SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'rita'));
	$session->quit;
}
IU::Cluster->reload($node, log_statement => 'none', log_min_messages => 'warning', debug_print_parse => 'off',
	debug_print_rewritten => 'off', debug_print_plan => 'off', log_executor_stats => 'off',
	session_preload_libraries => '');
sql('ALTER ROLE rita RESET client_min_messages; ALTER ROLE ann RESET client_min_messages');
my $log = substr(slurp_file($node->logfile), $log_from);
like($log, qr/echo_plain/, 'the server log has the statements');
SKIP:
{
	skip $lacks_plans, 1 if $lacks_plans;
	like($log, qr/QUERY PLAN|Remote Request/i, 'the server log has the plans');
}
unlike($log, qr/$any/, 'the server log has no secret');

# ---- looked for

foreach my $role (qw(reader stranger owner))
{
	my $catalogs = join "\n", map { (ask_raw($_, as => $role))[0] } 'SELECT * FROM pg_user_mappings',
		'SELECT * FROM information_schema.user_mapping_options', 'SELECT * FROM pg_foreign_server',
		'SELECT * FROM information_schema.foreign_server_options';
	unlike($catalogs, qr/\Q$secret{rita}\E|\Q$secret{file}\E/, "$role finds no secret of rita in the catalogs");
}
like(as('stranger', 'SELECT umoptions FROM pg_user_mapping'), qr/42501/, 'a stranger cannot read pg_user_mapping');
sql('GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader');
foreach my $form (qw(plain custom))
{
	my $dump = $node->basedir . "/dump.$form";
	my ($out, $err) = run_command([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-U', 'reader', "--format=$form",
		'--no-sync', '-f', $dump, 'postgres' ]);
	ok(-s $dump, "a reader can dump the database in $form format") or diag $err;
	my $text = slurp_file($dump);
	like($text, qr/CREATE USER MAPPING FOR rita SERVER q/, "a reader's dump has the user mappings") if $form eq 'plain';
	unlike($text, qr/$any/, "a reader's dump in $form format has no secret");
}
my ($all) = run_command([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-U', 'postgres', 'postgres' ]);
like($all, qr/\Q$secret{rita}\E/, "a superuser's dump has the secrets of user mappings");
unlike($all, qr/\Q$secret{file}\E/, "a superuser's dump has no secret that is in a file");

# what is refused is not quoted
unlike(as('rita', "ALTER USER MAPPING FOR rita SERVER q OPTIONS (SET api_key '$secret{shared} x')") =~ s/^LINE.*//mr,
	qr/\Q$secret{shared}\E/, 'the error about a secret that cannot be one does not quote it');
like(as('rita', "ALTER USER MAPPING FOR rita SERVER q OPTIONS (DROP api_key, ADD api_key_file '$file')"),
	qr/42501: permission denied to set option "api_key_file"/,
	"a file of a secret is named by who may read the server's files");
like(as('stranger', "CREATE USER MAPPING FOR stranger SERVER q OPTIONS (api_key 'x')"), qr/42501/,
	'a user mapping needs USAGE on the server');

# ---- an origin that is not allowed

my $forbidden = $peer{forbidden}->url;
like(as('stranger', "CREATE SERVER s FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '$forbidden')"),
	qr/HV00L: option "url" of foreign server "s" names an origin that is not allowed.*HINT:  A superuser/s,
	'CREATE SERVER of an origin that is not allowed is refused');
is(as('stranger', "CREATE SERVER s FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '@{[$peer{there}->url]}')"), '',
	'CREATE SERVER of an origin that is allowed is done');
like(as('stranger', "ALTER SERVER s OPTIONS (SET url '$forbidden')"), qr/HV00L/,
	'ALTER SERVER to an origin that is not allowed is refused');
is(as('stranger', "ALTER SERVER s OPTIONS (ADD timeout_ms '5000')"), '', 'ALTER SERVER may change other options');
is(as('stranger', "ALTER SERVER s RENAME TO s2; ALTER SERVER s2 RENAME TO s"), '', 'ALTER SERVER may change the name');
like(as('stranger', "CREATE SERVER s3 FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url 'http://169.254.169.254')"),
	qr/HV00L/, "CREATE SERVER of the address of a cloud's metadata is refused");
is(sql("CREATE SERVER f FOREIGN DATA WRAPPER qdrant_fdw OPTIONS (url '$forbidden'); GRANT USAGE ON FOREIGN"
	  . " SERVER f TO stranger; ALTER SERVER f OWNER TO stranger"), '',
	'a superuser may name any origin, as a restore does');
like(as('stranger', "CREATE FOREIGN TABLE ft (collection text, points bigint) SERVER f"
	  . " OPTIONS (resource 'collections'); SELECT * FROM ft"), qr/HV00L: .*its origin is not allowed/,
	'a foreign table of a server whose origin is not allowed asks nothing');
like(as('stranger', "IMPORT FOREIGN SCHEMA data FROM SERVER f INTO public"), qr/HV00L/,
	'an import from a server whose origin is not allowed asks nothing');
like(as('stranger', 'IMPORT FOREIGN SCHEMA api FROM SERVER q INTO public'), qr/42501/,
	'an import needs USAGE on the server');
is(scalar($peer{forbidden}->connections), 0, 'no server whose origin is not allowed connects anything');

# ---- whose mapping is used

sub uses
{
	my ($name, $role, $query, @expected) = @_;
	my $result;
	my @sent = sent('here', sub { $result = as($role, $query) });
	is_deeply([ map { $_ // '' } @sent ], \@expected, $name) or diag $result;
	return;
}
$node->safe_psql('postgres', <<'SQL');
GRANT SELECT ON qc, qp TO stranger;
SET ROLE rita;
CREATE VIEW of_rita AS SELECT * FROM qc; GRANT SELECT ON of_rita TO stranger, ann;
CREATE VIEW counts_of_rita AS SELECT count(*) FROM qp WHERE collection = 'one';
GRANT SELECT ON counts_of_rita TO stranger, ann;
CREATE VIEW invoked WITH (security_invoker) AS SELECT * FROM qc; GRANT SELECT ON invoked TO stranger, ann;
CREATE FUNCTION definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER
  AS $$ SELECT points FROM qc WHERE collection = 'one' $$;
CREATE FUNCTION invoker() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT points FROM qc WHERE collection = 'one' $$;
RESET ROLE; SET ROLE stranger;
CREATE VIEW of_stranger AS SELECT * FROM qc; GRANT SELECT ON of_stranger TO rita;
CREATE VIEW counts_of_stranger AS SELECT count(*) FROM qp WHERE collection = 'one';
GRANT SELECT ON counts_of_stranger TO rita;
CREATE VIEW over_rita AS SELECT * FROM of_rita; GRANT SELECT ON over_rita TO ann;
CREATE FUNCTION trap() RETURNS bigint LANGUAGE sql SECURITY DEFINER
  AS $$ SELECT points FROM qc WHERE collection = 'one' $$;
SQL
my $one = "SELECT points FROM %s WHERE collection = 'one'";
uses("a table sends the reader's own secret", 'rita', sprintf($one, 'qc'), $secret{rita});
uses('a table sends no secret of a reader without a mapping', 'stranger', sprintf($one, 'qc'), '');
uses('a view sends the secret of its owner', 'ann', sprintf($one, 'of_rita'), $secret{rita});
uses('a view of an owner without a mapping sends no secret, whoever reads it', 'rita', sprintf($one, 'of_stranger'),
	'');
uses("a view over a view sends the secret of the inner view's owner", 'ann', sprintf($one, 'over_rita'), $secret{rita});
uses("a pushed count in a view sends the secret of the view's owner", 'ann', 'SELECT * FROM counts_of_rita',
	$secret{rita});
uses('a pushed count in a view of an owner without a mapping sends no secret', 'rita',
	'SELECT * FROM counts_of_stranger', '');
uses("a view with security_invoker sends the reader's own secret", 'ann', sprintf($one, 'invoked'), $secret{file});
uses("a function sends the caller's own secret", 'ann', 'SELECT invoker()', $secret{file});
uses('a SECURITY DEFINER function sends the secret of its owner', 'ann', 'SELECT definer()', $secret{rita});
uses('a SECURITY DEFINER function of an owner without a mapping sends no secret of its caller', 'rita', 'SELECT trap()',
	'');
my @both = sent('here', sub { as('ann',
	"SELECT a.points, b.points FROM qc a JOIN of_rita b USING (collection) WHERE collection = 'one'") });
is_deeply([ sort @both ], [ sort @secret{qw(file rita)} ],
	'a join of a table and a view sends for each its own secret');
uses('a generic plan sends the secret of whoever executes it', 'postgres',
	"SET plan_cache_mode = force_generic_plan; SET ROLE rita; PREPARE p AS " . sprintf($one, 'qc')
	  . '; EXECUTE p; SET ROLE ann; EXECUTE p; SET ROLE stranger; EXECUTE p', $secret{rita}, $secret{file}, '');
uses('the secret of a mapping that is gone is not sent again', 'postgres',
	'SET ROLE rita; ' . sprintf($one, 'qc')
	  . '; RESET ROLE; BEGIN; DROP USER MAPPING FOR rita SERVER q; SET LOCAL ROLE rita; ' . sprintf($one, 'qc')
	  . '; ROLLBACK', $secret{rita}, '');

# ---- who may send the secrets of others elsewhere

my $there = $peer{there}->url;
my @stolen = sent('there', sub {
	like(as('owner', "ALTER SERVER q OPTIONS (SET url '$there')"),
		pattern(qr/42501: permission denied to change option "url" of foreign server "q".*DETAIL:  It has user/s,
			qr/ mappings with secrets that the current user may not see.*HINT:  Have a superuser/s),
		'the owner of a server may not move it when others have given their secrets for it');
	as('owner', "ALTER SERVER q OPTIONS (DROP url)");
	as('owner', "BEGIN; ALTER SERVER q OPTIONS (SET url '$there/'); COMMIT");
	as('rita', sprintf($one, 'qc'));
});
is_deeply(\@stolen, [], 'nothing arrives where the server could not be moved to');

my $moved;
is_deeply([ sent('here', sub {
	$moved = sql('BEGIN; SET LOCAL ROLE rita; DECLARE c CURSOR FOR ' . sprintf($one, 'qc')
		  . "; RESET ROLE; ALTER SERVER q OPTIONS (SET url '$there'); FETCH c; ROLLBACK");
}) ], [], 'a query that began before the url changed sends no secret to the url of then');
like($moved, pattern(qr/55000: option "url" of foreign server "q" has changed since the query began/s,
		qr/.*HINT:  Run the query again/s), 'a query that began before the url changed is told to run again');
is(as('owner', "ALTER SERVER q OPTIONS (ADD connections '4')"), '',
	'the owner of a server may change its other options');
is(as('owner', "ALTER SERVER q OPTIONS (SET url '@{[$peer{here}->url]}')"), '',
	'the owner of a server may set the url that it has');
sql('DROP USER MAPPING FOR rita SERVER q');
like(as('owner', "ALTER SERVER q OPTIONS (SET url '$there')"), qr/42501/,
	"the owner of a server may not move it while there is a secret of another's by file");
sql("DROP USER MAPPING FOR ann SERVER q; DROP USER MAPPING FOR owner SERVER q; CREATE USER MAPPING FOR owner SERVER q"
	  . " OPTIONS (api_key_file '$file')");
like(as('owner', "ALTER SERVER q OPTIONS (SET url '$there')"), qr/42501/,
	'the owner of a server may not move it with an own secret by a file that the owner may not read');
sql("DROP USER MAPPING FOR owner SERVER q; CREATE USER MAPPING FOR PUBLIC SERVER q OPTIONS (api_key_file '$file')");
like(as('owner', "ALTER SERVER q OPTIONS (SET url '$there')"), qr/42501/,
	'the owner of a server may not move it while there is a secret for everybody by file');
sql("DROP USER MAPPING FOR PUBLIC SERVER q; CREATE USER MAPPING FOR owner SERVER q OPTIONS (api_key '$secret{owner}')");
is(as('owner', "CREATE USER MAPPING FOR PUBLIC SERVER q OPTIONS (api_key '$secret{shared}'); ALTER SERVER q"
	  . " OPTIONS (SET url '$there')"), '', "the owner of a server may move it with secrets of one's own alone");
is_deeply([ sent('there', sub { as('rita', sprintf($one, 'qc')) }) ], [ $secret{shared} ],
	'when the server has moved its secrets are sent to the new url');
is(sql("CREATE USER MAPPING FOR rita SERVER q OPTIONS (api_key '$secret{rita}'); ALTER SERVER q"
	  . " OPTIONS (SET url '@{[$peer{here}->url]}')"), '', 'a superuser may move a server with secrets of others');

$node->stop;
done_testing();
