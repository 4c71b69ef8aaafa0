/*-------------------------------------------------------------------------
 *
 * gate_reading.h
 *	  What the rows of a gate say at one moment.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_GATE_READING_H
#define IU_GATE_READING_H

#include "core/gate_table.h"
#include "core/opening.h"
#include "utils/uuid.h"

/* The columns of the tables, in the order in which gate.c describes them. */
enum
{
	IU_CONFIG_KEY,
	IU_CONFIG_VALUE
};
enum
{
	IU_REGISTRY_KEY,
	IU_REGISTRY_CLASS
};
/* The tables that a reading needs, locked by the caller. */
typedef struct IuGateTables
{
	IuGateTable config;
	IuGateTable registry;
	IuGateTable ledger;
	IuGateTable revocations;
} IuGateTables;

typedef struct IuGateFinding
{
	bool		open;
	IuSpan		opening;		/* by the ledger; until 0: not by it */
	bool		lasting;		/* holds for other transactions and until something changes */
	IuGateVersion version;
	pg_uuid_t	approval;		/* if it is open by the ledger */
} IuGateFinding;

extern void iu_gate_read(const IuGateTables *tables, Datum key, Snapshot now, IuGateFinding *finding);
extern bool iu_gate_value_is_true(const IuGateTable *config, Datum key, Snapshot now, bool *own,
								  IuGateVersion *version);

#endif							/* IU_GATE_READING_H */
