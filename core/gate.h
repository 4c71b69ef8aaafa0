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

/*
 * The key of a registered gate whose value is true, effective or not, palloc'd;
 * NULL: none, or not all of the tables are there and everything reads closed.
 */
extern char *iu_gate_any_true(void);

#endif							/* IU_GATE_H */
