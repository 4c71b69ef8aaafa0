/*-------------------------------------------------------------------------
 *
 * attempt.h
 *	  One attempt to carry out a delivery: what became of it, and how it is
 *	  recorded. Senders and the runner make attempts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_ATTEMPT_H
#define IU_ATTEMPT_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/uuid.h"

/* What follows an attempt. Keep iu_outcome_names in attempt.c in the same order. */
typedef enum IuOutcome
{
	IU_UNDECIDED,				/* it is not over yet */
	IU_SENT,
	IU_FAILED,					/* it counts; the route's policy says whether and when it is tried again */
	IU_HELD,					/* it does not count, and may be claimed again at once */
	IU_HELD_A_WHILE				/* it does not count, and may be claimed again after a while */
} IuOutcome;

#define IU_OUTCOMES (IU_HELD_A_WHILE + 1)

/* As SQL knows them. */
extern const char *const iu_outcome_names[IU_OUTCOMES];

typedef struct IuAttempt
{
	pg_uuid_t	event_id;
	int			replay_number;
	int			attempt_no;
	IuOutcome	outcome;
	TimestampTz started_at;		/* 0: it never began */
	int64		microseconds;
	int			http_status;	/* 0: none */
	int			retry_after;	/* seconds, as the receiver asked for; -1: it did not */
	const char *failure_code;	/* NULL if sent */
	const char *failure_detail; /* for people; NULL: none */
	const char *excerpt;		/* the beginning of the answer; NULL: none */
} IuAttempt;

extern IuOutcome iu_outcome_of(const char *failure_code);
extern IuOutcome iu_outcome_by_name(const char *name);
extern bool iu_outcome_is_held(IuOutcome outcome);

/* In a transaction. */
extern void iu_attempts_record(int64 lease_id, int generation, const List *attempts);

#endif							/* IU_ATTEMPT_H */
