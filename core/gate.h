/*-------------------------------------------------------------------------
 *
 * gate.h
 *	  Whether a gate is effectively open, asked from C.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_GATE_H
#define IU_GATE_H

/* From _PG_init. */
extern void iu_gate_init(void);

/* Needs a transaction. False whenever anything is missing or unknown. */
extern bool iu_gate_is_effectively_open(const char *key);

#endif							/* IU_GATE_H */
