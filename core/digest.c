/*-------------------------------------------------------------------------
 *
 * digest.c
 *	  Size and SHA-256 of a file on the server, such as the backup that a change
 *	  window names.
 *
 * The file is read in pieces, since a dump may be larger than any value. The
 * role that logged in must be allowed to read files of the server: the role that
 * calls is the owner of a SECURITY DEFINER function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "core/caller.h"
#include "core/compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(iu_file_digest);

#define PIECE (1 << 16)

/* Returns NULL if the file was read to its end, otherwise why not. digest: room for its SHA-256. */
static char *
digest_open_file(int file, int64 *size, uint8 *digest)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	uint8	   *piece = palloc(PIECE);
	char	   *problem = NULL;
	ssize_t		got;

	*size = 0;
	if (context == NULL || pg_cryptohash_init(context) < 0)
		problem = "SHA-256 is not available";
	while (problem == NULL && (got = read(file, piece, PIECE)) != 0)
	{
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			problem = psprintf("it cannot be read: %s", strerror(errno));
		else if (pg_cryptohash_update(context, piece, got) < 0)
			problem = "SHA-256 is not available";
		else
			*size += got;
		CHECK_FOR_INTERRUPTS();
	}
	if (problem == NULL && pg_cryptohash_final(context, digest, PG_SHA256_DIGEST_LENGTH) < 0)
		problem = "SHA-256 is not available";
	pg_cryptohash_free(context);
	return problem;
}

/* The same of a file by its path. */
static char *
digest_file(const char *path, int64 *size, uint8 *digest)
{
	Oid			caller = iu_caller();
	struct stat status;
	char	   *problem;
	int			file;

	if (!OidIsValid(caller))
		return "nobody acts who may read the server's files";
	if (!superuser_arg(caller) && !has_privs_of_role(caller, ROLE_PG_READ_SERVER_FILES))
		return psprintf("role \"%s\" may not read the server's files", GetUserNameFromId(caller, true));
	if (!is_absolute_path(path))
		return "its path is not absolute";
	/* Without O_NONBLOCK the opening of a pipe would wait for a writer. */
	file = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (file < 0)
		return psprintf("the server cannot open it: %s", strerror(errno));
	if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode))
		problem = "it is not a regular file";
	else
		problem = digest_open_file(file, size, digest);
	CloseTransientFile(file);
	return problem;
}

/*
 * iu_core.file_digest(text): size and SHA-256, in hexadecimal, of the file at a
 * path, or in the third column why it could not be read.
 */
Datum
iu_file_digest(PG_FUNCTION_ARGS)
{
	TupleDesc	row;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char		hex[PG_SHA256_DIGEST_LENGTH * 2 + 1];
	int64		size = 0;
	char	   *problem = digest_file(text_to_cstring(PG_GETARG_TEXT_PP(0)), &size, digest);
	Datum		values[3] = {0};
	bool		nulls[3] = {problem != NULL, problem != NULL, problem == NULL};

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (problem == NULL)
	{
		hex[hex_encode((const char *) digest, sizeof(digest), hex)] = '\0';
		values[0] = Int64GetDatum(size);
		values[1] = CStringGetTextDatum(hex);
	}
	else
		values[2] = CStringGetTextDatum(problem);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}
