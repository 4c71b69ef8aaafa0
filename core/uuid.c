/*-------------------------------------------------------------------------
 *
 * uuid.c
 *	  Makes a UUID out of a name, so that the same name has the same UUID
 *	  everywhere and at any time (RFC 9562, version 5).
 *
 * Points in a vector store are named so: whoever knows the key of a row knows
 * the id of its point. PostgreSQL has no SHA-1 in SQL, and the extensions that
 * have it are no dependency of this one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha1.h"
#include "core/compat.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(iu_uuid_v5);

#define VERSION 5

/* SHA-1 of the namespace's bytes, followed by those of the name. */
static void
digest_name(const pg_uuid_t *name_space, const char *name, uint8 *digest)
{
	/* Made, used and freed within this call, so it may live in the caller's memory. */
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA1);

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, name_space->data, UUID_LEN) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) name, strlen(name)) < 0 ||
		pg_cryptohash_final(context, digest, SHA1_DIGEST_LENGTH) < 0)
	{
		pg_cryptohash_free(context);
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("SHA-1 is not available"),
				 errdetail("A UUID of version 5 is made of a SHA-1."),
				 errhint("A server whose OpenSSL is in FIPS mode refuses SHA-1."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_sha1_available")));
	}
	pg_cryptohash_free(context);
}

/*
 * iu_core.uuid_v5(namespace uuid, name text): the UUID that a name has within a
 * namespace, which is a UUID itself. The name counts as its UTF-8, whatever the
 * database's encoding.
 */
Datum
iu_uuid_v5(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *name_space = PG_GETARG_UUID_P(0);
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	uint8		digest[SHA1_DIGEST_LENGTH];
	pg_uuid_t  *uuid = palloc(sizeof(*uuid));

	digest_name(name_space, pg_server_to_any(name, strlen(name), PG_UTF8), digest);
	memcpy(uuid->data, digest, UUID_LEN);
	uuid->data[6] = (uuid->data[6] & 0x0f) | (VERSION << 4);
	uuid->data[8] = (uuid->data[8] & 0x3f) | 0x80;
	PG_RETURN_UUID_P(uuid);
}
