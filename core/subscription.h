/*-------------------------------------------------------------------------
 *
 * subscription.h
 *	  What a subscription brings into governed tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SUBSCRIPTION_H
#define IU_SUBSCRIPTION_H

extern bool iu_comes_from_elsewhere(void);

#endif							/* IU_SUBSCRIPTION_H */
