/*-------------------------------------------------------------------------
 *
 * ed25519.h
 *	  Signatures by Ed25519, which are verified without the key that makes them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_ED25519_H
#define IU_ED25519_H

#define IU_ED25519_SEED_BYTES 32
#define IU_ED25519_PUBLIC_BYTES 32
#define IU_ED25519_SIGNATURE_BYTES 64

extern void iu_ed25519_public_key(const uint8 *seed, uint8 *public_key);
extern void iu_ed25519_sign(const uint8 *seed, const char *message, size_t length, uint8 *signature);

#endif							/* IU_ED25519_H */
