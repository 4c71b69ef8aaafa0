/*-------------------------------------------------------------------------
 *
 * signature.h
 *	  Standard Webhooks signatures.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_SIGNATURE_H
#define IU_SIGNATURE_H

/*
 * The value of webhook-signature: one "v1,<base64 of HMAC-SHA256 over
 * id.timestamp.body>" per secret, separated by spaces. A secret is
 * "whsec_<base64>", as the standard writes it; anything else is an error that
 * does not quote it. Palloc'd.
 */
extern char *iu_webhook_signature(const char *id, int64 timestamp, const char *body, size_t body_length,
								  const char *const *secrets, int secret_count);

#endif							/* IU_SIGNATURE_H */
