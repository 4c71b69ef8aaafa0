/*-------------------------------------------------------------------------
 *
 * qdrant.h
 *	  The remote API of Qdrant.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_QDRANT_H
#define IU_QDRANT_H

#include "fdw/remote.h"

extern const IuRemote iu_qdrant;

#endif							/* IU_QDRANT_H */
