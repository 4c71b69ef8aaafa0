/*-------------------------------------------------------------------------
 *
 * signature.h
 *	  Standard Webhooks signatures.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SIGNATURE_H
#define IU_SIGNATURE_H

extern char *iu_webhook_signature(const char *id, int64 timestamp, const char *body, size_t body_length,
								  const char *const *secrets, int secret_count);

#endif							/* IU_SIGNATURE_H */
