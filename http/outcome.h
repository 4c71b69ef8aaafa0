/*-------------------------------------------------------------------------
 *
 * outcome.h
 *	  Finds out what became of a request.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_OUTCOME_H
#define IU_OUTCOME_H

#include "http/transfer.h"

extern void iu_outcome_note(IuTransfer *transfer, CURLcode code);
extern IuHttpAnswer *iu_outcome_answer(const IuTransfer *transfer);

#endif							/* IU_OUTCOME_H */
