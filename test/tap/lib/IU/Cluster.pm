#-------------------------------------------------------------------------
#
# IU/Cluster.pm
#	  Throwaway servers with iu_core preloaded, for tests of the server level.
#
#	  use lib "$FindBin::RealBin/../lib";		# from test/tap/t
#	  use IU::Cluster;
#
#	  my $node = IU::Cluster->new_node('main', 'iu_core.senders' => 2);
#	  $node->safe_psql('postgres', 'CREATE EXTENSION iu_core');
#
# new_node gives a started PostgreSQL::Test::Cluster. The named settings are
# written as they are, in single quotes; later ones win over those made here.
# The server is that of the commands on PATH; test/run puts a private copy with
# iu_core in it there. Its superuser is called postgres, whoever runs the test.
# Environment that the server shall see goes into %ENV before the call.
#
#-------------------------------------------------------------------------
package IU::Cluster;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

# For psql and every other client, and for a standby's connection to its primary.
# PostgreSQL::Test forgets what the caller had.
$ENV{PGUSER} = 'postgres';

# A psql that cannot connect, as to a server that recovers from a crash, may end
# before it was given its query. IPC::Run dies of that; it is one more "not yet".
{
	no warnings 'redefine';
	my $poll = \&PostgreSQL::Test::Cluster::poll_query_until;

	*PostgreSQL::Test::Cluster::poll_query_until = sub {
		my @arguments = @_;
		for (my $deadline = time + $PostgreSQL::Test::Utils::timeout_default; ; )
		{
			my $met = eval { $poll->(@arguments) };
			return $met if defined $met;
			die $@ if $@ !~ /ack Broken pipe/;
			return 0 if time > $deadline;
		}
	};
}

sub new_node
{
	my ($class, $name, %settings) = @_;
	my $node = $class->init_node($name, {}, %settings);

	$node->start;
	return $node;
}

# Not started yet. $init goes to init(), e.g. { allows_streaming => 1 }. In UTF8,
# whatever the locale of who runs the test.
sub init_node
{
	my ($class, $name, $init, %settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--username=postgres', '--encoding=UTF8', '--locale=C' ], %$init);
	$node->append_conf('postgresql.conf', settings_text(
			shared_preload_libraries => 'iu_core',
			'iu_core.databases'      => 'postgres',
			max_worker_processes     => 32,
			%settings));
	return $node;
}

# As lines of a configuration file.
sub settings_text
{
	my @settings = @_;
	my $text = '';

	while (my ($setting, $value) = splice(@settings, 0, 2))
	{
		$value =~ s/'/''/g;
		$text .= "$setting = '$value'\n";
	}
	return $text;
}

# Changes settings of a running node and waits until a new session sees them.
sub reload
{
	my ($class, $node, %settings) = @_;
	my $before = $node->safe_psql('postgres', 'SELECT pg_conf_load_time()');

	$node->append_conf('postgresql.conf', settings_text(%settings));
	$node->reload;
	$node->poll_query_until('postgres', "SELECT pg_conf_load_time() > '$before'")
	  or die 'settings were not reloaded';
}

# The extension with all its migrations in a database, and its watchdog at work
# if it is the database that new_node has it serve.
sub install
{
	my ($class, $node, $database) = @_;
	$database //= 'postgres';

	$node->safe_psql($database, 'CREATE EXTENSION iu_core; SELECT count(*) FROM iu_core.migrate()');
	$class->wait_for_worker($node, 'watchdog') if $database eq 'postgres';
}

# The pid of a worker that is well, other than $not.
sub wait_for_worker
{
	my ($class, $node, $role, $not) = @_;
	my $pid = "SELECT pid FROM iu_core.worker_status WHERE role = '$role' AND pid IS NOT NULL"
	  . " AND state IN ('running', 'nothing migrated') AND pid <> " . ($not // 0);

	$node->poll_query_until('postgres', "SELECT EXISTS ($pid)") or die "no $role runs";
	return $node->safe_psql('postgres', $pid);
}

# Opens a gate, as psql prints it: the end of the opening.
sub open_gate
{
	my ($class, $node, $gate, $seconds, $actor) = @_;
	$actor //= 'operator';

	return $node->safe_psql('postgres',
		"SELECT fn_iu_gate_open('$gate', gen_random_uuid(), '$actor', 'test', $seconds) ->> 'expires_at'");
}

# The rows of a query, or its error with SQLSTATE, detail and hint.
sub rows_or_error
{
	my ($class, $node, $query) = @_;
	my ($stdout, $stderr) = ('', '');

	$node->psql('postgres', $query, stdout => \$stdout, stderr => \$stderr, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	$stderr =~ s/^psql:[^ ]* //mg;
	$stderr =~ s/^LOCATION:.*\n?//mg;
	return $stderr eq '' ? $stdout : $stderr;
}

# Value and effect of a gate in one word, e.g. "true closed".
sub gate
{
	my ($class, $node, $gate, $database) = @_;
	return $node->safe_psql($database // 'postgres',
		"SELECT value || CASE WHEN iu_core.gate_is_open(key) THEN ' open' ELSE ' closed' END FROM dot_config WHERE key = '$gate'");
}

# The actions in a gate's ledger, in order, e.g. "open watchdog_close".
sub ledger
{
	my ($class, $node, $gate, $database) = @_;
	return $node->safe_psql($database // 'postgres',
		"SELECT string_agg(action, ' ' ORDER BY transition_seq) FROM iu_gate_transition WHERE gate_key = '$gate'");
}

# SQL that reads a gate until after its expiry and says what it saw. Each reading
# lies between two looks at the clock, so each one that contradicts the expiry
# does so without doubt. A DO block, which a standby can run as well.
sub watch_expiry
{
	my ($class, $gate) = @_;
	return <<"SQL";
DO \$\$
DECLARE
  v_due    timestamptz := (SELECT max(expires_at) FROM public.iu_gate_transition WHERE gate_key = '$gate');
  v_before timestamptz;
  v_open   boolean;
  v_opens  integer := 0;
  v_closes integer := 0;
  v_seen   text;
BEGIN
  LOOP
    v_before := clock_timestamp();
    v_open := iu_core.gate_is_open('$gate');
    IF v_open AND v_before >= v_due THEN v_seen := 'open after its expiry'; END IF;
    IF NOT v_open AND clock_timestamp() < v_due THEN v_seen := 'closed before its expiry'; END IF;
    IF v_open THEN v_opens := v_opens + 1; ELSE v_closes := v_closes + 1; END IF;
    EXIT WHEN v_seen IS NOT NULL OR v_closes = 1000;
  END LOOP;
  v_seen := coalesce(v_seen, CASE WHEN v_opens > 0 THEN 'open, then closed' ELSE 'never open' END);
  PERFORM set_config('test.seen', v_seen, false);
END \$\$;
SELECT current_setting('test.seen');
SQL
}

# Until a gate's last opening has run out.
sub wait_for_expiry
{
	my ($class, $node, $gate) = @_;
	$node->poll_query_until('postgres',
		"SELECT max(expires_at) < clock_timestamp() FROM iu_gate_transition WHERE gate_key = '$gate'")
	  or die "$gate does not expire";
}

# Until the table says false and the ledger, in full, is as given.
sub wait_for_ledger
{
	my ($class, $node, $gate, $actions) = @_;
	return $node->poll_query_until('postgres',
		"SELECT value || ' ' || (SELECT string_agg(action, ' ' ORDER BY transition_seq)"
		  . " FROM iu_gate_transition WHERE gate_key = key) FROM dot_config WHERE key = '$gate'",
		"false $actions");
}

1;
