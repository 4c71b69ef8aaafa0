/*-------------------------------------------------------------------------
 *
 * egress.h
 *	  What may be reached from this server: the one policy for delivery and
 *	  foreign tables alike.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_EGRESS_H
#define IU_EGRESS_H

#include <sys/socket.h>

/* From _PG_init: iu_core.allowed_origins and iu_core.allowed_networks. */
extern void iu_egress_define_settings(void);

/*
 * NULL if iu_core.allowed_origins names the URL's scheme://host[:port];
 * otherwise why not, as a palloc'd sentence that names the setting. Says no to
 * whatever it cannot parse, to user parts and to every scheme but http, https.
 */
extern char *iu_egress_refuses_url(const char *url);

/* The URL's scheme://host[:port], canonical, for messages; NULL if it has none. Palloc'd. */
extern char *iu_egress_origin(const char *url);

/*
 * Whether this peer, found by name resolution, may be connected to. Allocates
 * nothing and raises nothing: it is called from inside libcurl.
 */
extern bool iu_egress_allows_address(const struct sockaddr *address);

#endif							/* IU_EGRESS_H */
