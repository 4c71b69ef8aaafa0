/*-------------------------------------------------------------------------
 *
 * release.h
 *	  Takes the workers out of a database that a command needs for itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_RELEASE_H
#define IU_RELEASE_H

#include "nodes/nodes.h"

/* From _PG_init, while shared_preload_libraries is processed. */
extern void iu_release_init(void);

extern void iu_release_before(Node *statement, bool in_block);

#endif							/* IU_RELEASE_H */
