/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  The secret that a user's requests to a foreign server carry: what the
 *	  user mapping holds, or the file that it names.
 *
 * It is read when something is to be asked, never when a query is planned, so
 * that a plan that is kept holds no secret and knows of every change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/reloptions.h"
#include "catalog/pg_user_mapping.h"
#include "core/compat.h"
#include "fdw/options.h"
#include "fdw/secret.h"
#include "foreign/foreign.h"
#include "storage/fd.h"
#include "utils/syscache.h"

/* The options of the user's own mapping, else of the public one. */
static List *
mapping_options(Oid user, Oid server)
{
	HeapTuple	tuple;
	Datum		options;
	bool		is_null;
	List	   *list = NIL;

	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user), ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		return NIL;
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &is_null);
	if (!is_null)
		list = untransformRelOptions(options);
	ReleaseSysCache(tuple);
	return list;
}

/*
 * The first line of the file that the user mapping names. Errors show the
 * file's name in the log only: users of a mapping need not be allowed to see
 * what it holds.
 *
 * option: name of the option; path: its value.
 */
static char *
read_secret_file(const IuServer *server, const char *option, const char *path)
{
	char	   *buffer = palloc(IU_MAX_SECRET + 2);
	struct stat status;
	ssize_t		length = -1;
	int			fd;

	/* O_NONBLOCK: the path may be that of a pipe, and opening one would wait for a writer */
	fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd >= 0 && fstat(fd, &status) == 0)
	{
		if (S_ISREG(status.st_mode))
			length = read(fd, buffer, IU_MAX_SECRET + 1);
		else
			errno = EINVAL;
	}
	if (length < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("could not read the file that option \"%s\" of the user mapping names: %m", option),
				 errdetail_log("File \"%s\", foreign server \"%s\".", path, server->name),
				 errhint("The server process must be able to read it, and it must be a regular file."),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_secret_file")));
	CloseTransientFile(fd);

	buffer[length] = '\0';
	buffer[strcspn(buffer, "\r\n")] = '\0';
	return buffer;
}

/*
 * Raises if the server's url is no longer the one that the query was planned
 * with: the secret that the catalogs have now must not go to the url of then.
 */
static void
check_url_is_current(const IuServer *server)
{
	if (strcmp(iu_server_url(GetForeignServer(server->id)->options), server->url) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("option \"url\" of foreign server \"%s\" has changed since the query began", server->name),
			 errdetail("Server: %s.", server->name),
			 errhint("Run the query again."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_server_url_changed")));
}

/*
 * The secret for this user's requests to the server; NULL if there is no user
 * mapping or it holds none. Raises if it cannot be read or used.
 *
 * user: whose mapping counts; the public one where the user has none.
 */
char *
iu_secret_of(const IuServer *server, Oid user)
{
	List	   *options = mapping_options(user, server->id);
	char	   *file_option = psprintf("%s_file", server->remote->secret_option);
	const char *value = iu_option_value(options, server->remote->secret_option);
	const char *path = iu_option_value(options, file_option);
	const char *problem;
	const char *hint = NULL;
	char	   *secret;

	if (value == NULL && path == NULL)
		return NULL;
	check_url_is_current(server);
	secret = value ? pstrdup(value) : read_secret_file(server, file_option, path);
	problem = iu_secret_problem(secret);
	if (path != NULL)
		hint = psprintf("The first line of the file that option \"%s\" names must be the secret.", file_option);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("the user mapping for foreign server \"%s\" holds no usable secret", server->name),
				 errdetail("%s", problem),
				 hint ? errhint("%s", hint) : 0,
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_secret_unusable")));
	return secret;
}
