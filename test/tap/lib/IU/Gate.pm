#-------------------------------------------------------------------------
#
# IU/Gate.pm
#	  What a test does to a gate of a server, and sees of it.
#
#	  IU::Gate->open($node, $gate, 600);		# by the operator; the end of the opening
#	  IU::Gate->close($node, $gate);
#	  IU::Gate->state($node, $gate);			# "true open", "true closed", "false closed"
#	  IU::Gate->ledger($node, $gate);			# "open watchdog_close"
#
# Each takes the node first, since gates are looked at on several servers; state
# and ledger take a database last. IU::GateModel knows what the protocol says,
# IU::GateSession takes its steps in a session of its own.
#
#-------------------------------------------------------------------------
package IU::Gate;

use strict;
use warnings;

# Opens a gate, as psql prints it: the end of the opening.
sub open
{
	my ($class, $node, $gate, $seconds, $actor) = @_;
	$actor //= 'operator';

	return $node->safe_psql('postgres',
		"SELECT fn_iu_gate_open('$gate', gen_random_uuid(), '$actor', 'test', $seconds) ->> 'expires_at'");
}

sub close
{
	my ($class, $node, $gate) = @_;

	return $node->safe_psql('postgres', "SELECT fn_iu_gate_close('$gate', 'operator', 'test') ->> 'status'");
}

# Value and effect of a gate in one word, e.g. "true closed".
sub state
{
	my ($class, $node, $gate, $database) = @_;
	return $node->safe_psql($database // 'postgres',
		"SELECT value || CASE WHEN iu_core.gate_is_open(key) THEN ' open' ELSE ' closed' END FROM dot_config"
		  . " WHERE key = '$gate'");
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
