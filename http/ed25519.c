/*-------------------------------------------------------------------------
 *
 * ed25519.c
 *	  Signatures by Ed25519, which are verified without the key that makes them.
 *
 * They are OpenSSL's, where the server has it (openssl.c). A server without it has
 * none, and whoever asks for a signature is told so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "http/ed25519.h"
#include "http/openssl.h"

#define KEY_TYPE 1087			/* EVP_PKEY_ED25519 */

typedef struct OpenSsl
{
	void	   *(*key_new) (int type, void *engine, const unsigned char *seed, size_t length);
	void		(*key_free) (void *key);
	int			(*key_public) (const void *key, unsigned char *to, size_t *length);
	void	   *(*context_new) (void);
	void		(*context_free) (void *context);
	int			(*sign_init) (void *context, void **key_context, const void *digest, void *engine, void *key);
	int			(*sign) (void *context, unsigned char *to, size_t *size, const unsigned char *message, size_t length);
} OpenSsl;

/* False: this server has no OpenSSL, or one that is too old. */
static bool
find_openssl(OpenSsl *openssl)
{
	const IuOpensslFunction functions[] = {
		{"EVP_PKEY_new_raw_private_key", (void **) &openssl->key_new},
		{"EVP_PKEY_free", (void **) &openssl->key_free},
		{"EVP_PKEY_get_raw_public_key", (void **) &openssl->key_public},
		{"EVP_MD_CTX_new", (void **) &openssl->context_new},
		{"EVP_MD_CTX_free", (void **) &openssl->context_free},
		{"EVP_DigestSignInit", (void **) &openssl->sign_init},
		{"EVP_DigestSign", (void **) &openssl->sign}
	};

	return iu_openssl_find(functions, lengthof(functions));
}

static void
require_openssl(OpenSsl *openssl)
{
	if (!find_openssl(openssl))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this server cannot make signatures by Ed25519"),
				 errdetail("It was built without OpenSSL, or with one older than 1.1.1."),
				 errhint("Sign with a secret (v1) instead."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_webhook_ed25519")));
}

static void
require_success(bool good)
{
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute a webhook signature")));
}

/* The public key that belongs to a seed, IU_ED25519_PUBLIC_BYTES of it. Raises 0A000 where there is no OpenSSL. */
void
iu_ed25519_public_key(const uint8 *seed, uint8 *public_key)
{
	OpenSsl		openssl;
	size_t		length = IU_ED25519_PUBLIC_BYTES;
	void	   *key;
	bool		good;

	require_openssl(&openssl);
	key = openssl.key_new(KEY_TYPE, NULL, seed, IU_ED25519_SEED_BYTES);
	good = key != NULL && openssl.key_public(key, public_key, &length) == 1 && length == IU_ED25519_PUBLIC_BYTES;
	openssl.key_free(key);
	require_success(good);
}

/* The signature of a message, IU_ED25519_SIGNATURE_BYTES of it. Raises 0A000 where there is no OpenSSL. */
void
iu_ed25519_sign(const uint8 *seed, const char *message, size_t length, uint8 *signature)
{
	OpenSsl		openssl;
	size_t		size = IU_ED25519_SIGNATURE_BYTES;
	void	   *key;
	void	   *context;
	bool		good;

	require_openssl(&openssl);
	key = openssl.key_new(KEY_TYPE, NULL, seed, IU_ED25519_SEED_BYTES);
	context = openssl.context_new();
	good = key != NULL && context != NULL && openssl.sign_init(context, NULL, NULL, NULL, key) == 1 &&
		openssl.sign(context, signature, &size, (const unsigned char *) message, length) == 1 &&
		size == IU_ED25519_SIGNATURE_BYTES;
	openssl.context_free(context);
	openssl.key_free(key);
	require_success(good);
}
