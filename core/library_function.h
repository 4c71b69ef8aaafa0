/*-------------------------------------------------------------------------
 *
 * library_function.h
 *	  Functions in C that a migration makes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_LIBRARY_FUNCTION_H
#define IU_LIBRARY_FUNCTION_H

#include "nodes/nodes.h"

extern bool iu_makes_library_function(Node *statement);
extern void iu_give_library_function(Node *statement, Oid role);

#endif							/* IU_LIBRARY_FUNCTION_H */
