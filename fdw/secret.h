/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  The secret that a user's requests to a foreign server carry.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SECRET_H
#define IU_SECRET_H

#include "fdw/table.h"

extern char *iu_secret_of(const IuServer *server, Oid user);

#endif							/* IU_SECRET_H */
