/*-------------------------------------------------------------------------
 *
 * gate_reading.c
 *	  What the rows of a gate say at one moment: its value, its class, the last
 *	  row of its ledger, and whether the approval of that was revoked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/gate_reading.h"
#include "core/opening.h"

/* For a gate whose value is true now: whether the value was false when this transaction began. */
static bool
was_false_before_this_transaction(const IuGateTable *config, Datum key, Snapshot now)
{
	SnapshotData before = *now;
	IuGateRow	row;
	bool		was_false;

	/* At command 0 of this transaction nothing of its own has happened yet. */
	before.curcid = FirstCommandId;
	was_false = iu_gate_row_find(&row, config, key, &before) &&
		iu_gate_row_says(&row, IU_CONFIG_VALUE, "false");
	iu_gate_row_done(&row);
	return was_false;
}

/* Whether the value of a gate is true; *own: this transaction wrote it; *version: of its row. */
bool
iu_gate_value_is_true(const IuGateTable *config, Datum key, Snapshot now, bool *own, IuGateVersion *version)
{
	IuGateRow	row;
	bool		is_true = iu_gate_row_find(&row, config, key, now) &&
		iu_gate_row_says(&row, IU_CONFIG_VALUE, "true");

	if (is_true)
	{
		*own = iu_gate_row_is_own(&row);
		*version = iu_gate_row_version(&row);
	}
	iu_gate_row_done(&row);
	return is_true;
}

static bool
is_governable(const IuGateTable *registry, Datum key, Snapshot now)
{
	IuGateRow	row;
	bool		governable = iu_gate_row_find(&row, registry, key, now) &&
		iu_gate_row_says(&row, IU_REGISTRY_CLASS, "governable");

	iu_gate_row_done(&row);
	return governable;
}

/*
 * Of the gate's last transition, if that is an opening: when it has effect; *own:
 * this transaction made it; *approval: on which.
 */
static IuSpan
open_by_the_ledger(const IuGateTable *ledger, Datum key, Snapshot now, bool *own, pg_uuid_t *approval)
{
	IuGateRow	row;
	bool		null = true;
	bool		opening = iu_gate_row_find(&row, ledger, key, now) &&
		iu_gate_row_says(&row, IU_LEDGER_ACTION, "open");
	Datum		id = opening ? iu_gate_row_value(&row, IU_LEDGER_APPROVAL, &null) : (Datum) 0;
	IuSpan		span = {0};

	if (!null)
	{
		span = iu_opening_span(&row);
		*approval = *DatumGetUUIDP(id);
	}
	*own = opening && iu_gate_row_is_own(&row);
	iu_gate_row_done(&row);
	return span;
}

/* Reads the rows of a gate from the tables, which are locked. *finding is all zeros before. */
void
iu_gate_read(const IuGateTables *tables, Datum key, Snapshot now, IuGateFinding *finding)
{
	bool		own_value;
	bool		own_opening;

	if (!iu_gate_value_is_true(&tables->config, key, now, &own_value, &finding->version) ||
		!is_governable(&tables->registry, key, now))
		return;
	finding->opening = open_by_the_ledger(&tables->ledger, key, now, &own_opening, &finding->approval);
	if (finding->opening.until != 0 &&
		iu_gate_row_may_exist(&tables->revocations, UUIDPGetDatum(&finding->approval), now))
		finding->opening.until = 0;
	finding->lasting = !own_value && !own_opening;
	finding->open = iu_span_is_now(finding->opening);
	/* What this transaction opened by the protocol has an end, and is not open for the whole transaction. */
	if (!finding->open && own_value && !own_opening)
		finding->open = was_false_before_this_transaction(&tables->config, key, now);
}
