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

extern bool iu_gate_is_effectively_open(const char *key);
extern char *iu_gate_any_true(void);

#endif							/* IU_GATE_H */
