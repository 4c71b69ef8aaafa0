/*-------------------------------------------------------------------------
 *
 * opening.c
 *	  When the opening of a gate has effect, by its row of the ledger: in the place
 *	  where it was made, from the time at which it was made to its end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "core/opening.h"
#include "core/place.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* Whether an opening has effect now. */
bool
iu_span_is_now(IuSpan span)
{
	TimestampTz now = GetCurrentTimestamp();

	return span.from <= now && now < span.until;
}

/* When an opening has effect; never if it was made in another place, or came with a dump. */
IuSpan
iu_opening_span(const IuGateRow *row)
{
	const pg_uuid_t *here = iu_place_of_openings();
	bool		null[4];
	Datum		expires_at = iu_gate_row_value(row, IU_LEDGER_EXPIRES, &null[0]);
	Datum		place = iu_gate_row_value(row, IU_LEDGER_PLACE, &null[1]);
	Datum		created_at = iu_gate_row_value(row, IU_LEDGER_CREATED, &null[2]);
	Datum		written_by = iu_gate_row_value(row, IU_LEDGER_WRITTEN, &null[3]);
	IuSpan		span = {0};

	if (here == NULL || null[0] || null[1] || null[2] || null[3] ||
		DatumGetTransactionId(written_by) != iu_gate_row_version(row).xmin ||
		memcmp(DatumGetUUIDP(place)->data, here->data, UUID_LEN) != 0)
		return span;
	span.from = DatumGetTimestampTz(created_at);
	span.until = DatumGetTimestampTz(expires_at);
	return span;
}
