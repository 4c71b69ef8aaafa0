/*-------------------------------------------------------------------------
 *
 * signature.c
 *	  Standard Webhooks signatures over "id.timestamp.body": v1, by HMAC-SHA256,
 *	  and v1a, by Ed25519.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "core/compat.h"
#include "fmgr.h"
#include "http/ed25519.h"
#include "http/signature.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

PG_FUNCTION_INFO_V1(iu_webhook_signature_sql);
PG_FUNCTION_INFO_V1(iu_webhook_key);

#define KEY_PREFIX "whsk_"		/* and the seed and the public key of Ed25519 */
#define KEY_BYTES (IU_ED25519_SEED_BYTES + IU_ED25519_PUBLIC_BYTES)
#define SECRET_PREFIX "whsec_"
#define SHORTEST_KEY 24			/* bytes, as the standard has it */
#define LONGEST_KEY 64

/*
 * The id and the timestamp are separated from the body by dots, so an id with
 * a dot could pass for another message.
 */
static void
check_id(const char *id)
{
	if (id[0] == '\0' || strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != strlen(id))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("webhook id must be letters, digits, \"_\" and \"-\""),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_webhook_id")));
}

/* Never quotes the secret. Returns the length of the key. */
static int
decode_secret(const char *secret, int number, uint8 key[LONGEST_KEY])
{
	size_t		prefix = strlen(SECRET_PREFIX);
	int			length = -1;

	if (secret != NULL && strncmp(secret, SECRET_PREFIX, prefix) == 0)
		length = iu_b64_decode(secret + prefix, (int) strlen(secret + prefix), key, LONGEST_KEY);
	if (length < SHORTEST_KEY)
	{
		explicit_bzero(key, LONGEST_KEY);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("webhook secret %d is malformed", number),
				 errdetail("A secret is \"%s\" followed by the base64 of %d to %d bytes.",
						   SECRET_PREFIX, SHORTEST_KEY, LONGEST_KEY),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_webhook_secret")));
	}
	return length;
}

/*
 * One for the process, in a memory context and with a resource owner of its
 * own, both for as long as the process lives. Without OpenSSL the server makes
 * it in the current context, which may be gone when the next message is signed;
 * with OpenSSL it registers it with the current owner, and crashes where there
 * is none, as in a sender, which signs outside of any transaction. NULL if
 * there is no memory.
 */
static pg_hmac_ctx *
create_hmac(MemoryContext context, ResourceOwner owner)
{
	pg_hmac_ctx *volatile hmac = NULL;
	MemoryContext caller_context = MemoryContextSwitchTo(context);
	ResourceOwner caller_owner = CurrentResourceOwner;

	PG_TRY();
	{
		CurrentResourceOwner = owner;
		hmac = pg_hmac_create(PG_SHA256);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = caller_owner;
		MemoryContextSwitchTo(caller_context);
	}
	PG_END_TRY();
	return hmac;
}

static pg_hmac_ctx *
the_hmac(void)
{
	static MemoryContext context = NULL;
	static ResourceOwner owner = NULL;
	static pg_hmac_ctx *hmac = NULL;

	if (hmac != NULL)
		return hmac;
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "iu_core signature", ALLOCSET_SMALL_SIZES);
	if (owner == NULL)
		owner = ResourceOwnerCreate(NULL, "iu_core signature");
	MemoryContextReset(context);	/* of what a creation that failed left */
	hmac = create_hmac(context, owner);
	return hmac;
}

static bool
compute(const uint8 *key, int key_length, const char *head,
		const char *body, size_t body_length, uint8 digest[PG_SHA256_DIGEST_LENGTH])
{
	pg_hmac_ctx *hmac = the_hmac();

	return hmac != NULL &&
		pg_hmac_init(hmac, key, key_length) == 0 &&
		pg_hmac_update(hmac, (const uint8 *) head, strlen(head)) == 0 &&
		pg_hmac_update(hmac, (const uint8 *) body, body_length) == 0 &&
		pg_hmac_final(hmac, digest, PG_SHA256_DIGEST_LENGTH) == 0;
}

static void
append_base64(StringInfo to, const uint8 *bytes, int length)
{
	int			room = pg_b64_enc_len(length);
	int			written;

	enlargeStringInfo(to, room);
	written = iu_b64_encode(bytes, length, to->data + to->len, room);
	if (written < 0)
		elog(ERROR, "could not encode a webhook signature");
	to->len += written;
	to->data[to->len] = '\0';
}

/* "v1,<base64>" by a secret. number: which one it is, for the message. */
static void
append_v1(StringInfo to, const char *secret, int number, const char *head, const char *body, size_t body_length)
{
	uint8		key[LONGEST_KEY];
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	int			key_length = decode_secret(secret, number, key);
	bool		good = compute(key, key_length, head, body, body_length, digest);

	explicit_bzero(key, sizeof(key));
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute a webhook signature")));
	appendStringInfoString(to, "v1,");
	append_base64(to, digest, sizeof(digest));
}

/* "v1a,<base64>" by a key of Ed25519. number: which one it is, for the message. */
static void
append_v1a(StringInfo to, const char *secret, int number, const char *head, const char *body, size_t body_length)
{
	uint8		key[KEY_BYTES];
	uint8		signature[IU_ED25519_SIGNATURE_BYTES];
	const char *base64 = secret + strlen(KEY_PREFIX);
	StringInfoData message;

	if (iu_b64_decode(base64, (int) strlen(base64), key, KEY_BYTES) != KEY_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("webhook key %d is malformed", number),
				 errdetail("A key is \"%s\" followed by the base64 of %d bytes.", KEY_PREFIX, KEY_BYTES),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_webhook_secret")));
	initStringInfo(&message);
	appendStringInfoString(&message, head);
	appendBinaryStringInfo(&message, body, (int) body_length);
	iu_ed25519_sign(key, message.data, message.len, signature);
	explicit_bzero(key, sizeof(key));
	pfree(message.data);
	appendStringInfoString(to, "v1a,");
	append_base64(to, signature, sizeof(signature));
}

/* iu_core.webhook_key(): a new key of Ed25519. */
Datum
iu_webhook_key(PG_FUNCTION_ARGS)
{
	uint8		key[KEY_BYTES];
	StringInfoData text;

	if (!pg_strong_random(key, IU_ED25519_SEED_BYTES))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random key")));
	iu_ed25519_public_key(key, key + IU_ED25519_SEED_BYTES);
	initStringInfo(&text);
	appendStringInfoString(&text, KEY_PREFIX);
	append_base64(&text, key, KEY_BYTES);
	explicit_bzero(key, sizeof(key));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}

/*
 * The value of the header webhook-signature, palloc'd: one "v1,<base64 of
 * HMAC-SHA256 over id.timestamp.body>" for each secret, or "v1a,<base64 of the
 * signature by Ed25519>" for each key, separated by spaces. Raises (22023) for
 * an id or a secret that is malformed and for no secret; no message quotes a
 * secret.
 *
 * timestamp: seconds since 1970; secrets: each "whsec_<base64 of the key>", or
 * "whsk_<base64 of seed and public key>".
 */
char *
iu_webhook_signature(const char *id, int64 timestamp, const char *body, size_t body_length,
					 const char *const *secrets, int secret_count)
{
	StringInfoData signatures;
	char	   *head;
	int			i;

	check_id(id);
	if (secret_count < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no webhook secret to sign with"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_webhook_secret_missing")));

	head = psprintf("%s." INT64_FORMAT ".", id, timestamp);
	initStringInfo(&signatures);
	for (i = 0; i < secret_count; i++)
	{
		if (i > 0)
			appendStringInfoChar(&signatures, ' ');
		if (secrets[i] != NULL && strncmp(secrets[i], KEY_PREFIX, strlen(KEY_PREFIX)) == 0)
			append_v1a(&signatures, secrets[i], i + 1, head, body, body_length);
		else
			append_v1(&signatures, secrets[i], i + 1, head, body, body_length);
	}
	pfree(head);
	return signatures.data;
}

/* iu_core.webhook_signature(id, timestamp, body, secrets) */
Datum
iu_webhook_signature_sql(PG_FUNCTION_ARGS)
{
	text	   *body = PG_GETARG_TEXT_PP(2);
	Datum	   *elements;
	bool	   *nulls;
	const char **secrets;
	int			count;
	int			i;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &count);
	secrets = palloc0(sizeof(char *) * (count + 1));
	for (i = 0; i < count; i++)
		secrets[i] = nulls[i] ? NULL : TextDatumGetCString(elements[i]);
	PG_RETURN_TEXT_P(cstring_to_text(iu_webhook_signature(text_to_cstring(PG_GETARG_TEXT_PP(0)),
														  PG_GETARG_INT64(1),
														  VARDATA_ANY(body),
														  VARSIZE_ANY_EXHDR(body),
														  secrets, count)));
}
