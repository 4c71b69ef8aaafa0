/*-------------------------------------------------------------------------
 *
 * egress.h
 *	  Which origins may be reached: iu_core.allowed_origins. The same policy
 *	  holds for delivery and foreign tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_EGRESS_H
#define IU_EGRESS_H

extern void iu_egress_define_settings(void);
extern char *iu_egress_refuses_url(const char *url);
extern char *iu_egress_origin(const char *url);

#endif							/* IU_EGRESS_H */
