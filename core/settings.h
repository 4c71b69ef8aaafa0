/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The settings of iu_core, except those that say what may be reached over
 *	  the network: http/egress.c and http/address.c have one each.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SETTINGS_H
#define IU_SETTINGS_H

#include "nodes/pg_list.h"

#define IU_MAX_SENDERS 16

extern char *iu_databases;		/* comma-separated names; empty: no workers */
extern char *iu_worker_role;	/* role the workers connect as */
extern bool iu_allow_removal;	/* for this session, what gates rest on may be dropped */
extern int	iu_senders;			/* sender processes per database */
extern int	iu_connect_timeout; /* ms, TCP and TLS together */
extern int	iu_request_timeout; /* ms, the whole request */
extern int	iu_connection_max_age;	/* s */
extern int	iu_drain_timeout;	/* ms */
extern int	iu_max_response_kb; /* kB of an answer's body, then it is cut */
extern int	iu_max_request_kb;	/* kB of a request's body, then it is refused */
extern int	iu_envelope_timeout;	/* ms, a statement's wait for the envelope */

extern void iu_settings_define(void);

extern List *iu_settings_list(const char *value);

#endif							/* IU_SETTINGS_H */
