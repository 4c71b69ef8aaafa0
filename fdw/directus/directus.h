/*-------------------------------------------------------------------------
 *
 * directus.h
 *	  The remote API of Directus.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_DIRECTUS_H
#define IU_DIRECTUS_H

#include "fdw/remote.h"

extern const IuRemote iu_directus;

#endif							/* IU_DIRECTUS_H */
