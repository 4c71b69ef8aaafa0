/*-------------------------------------------------------------------------
 *
 * certificate_file.c
 *	  Reads a file of iu_core.certificate_directory, and nothing that is elsewhere:
 *	  a regular file, not too large, in the directory or below it wherever symbolic
 *	  links lead; and the file of a key only where PostgreSQL itself would take it
 *	  for its ssl_key_file.
 *
 * Messages name the file as it was asked for, and no directory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "core/compat.h"
#include "http/certificate_file.h"
#include "storage/fd.h"

static void
note_state(const struct stat *status, IuFileState *state)
{
	memset(state, 0, sizeof(IuFileState));
	state->device = status->st_dev;
	state->inode = status->st_ino;
	state->size = status->st_size;
	state->mode = status->st_mode;
	state->owner = status->st_uid;
	state->modified = status->st_mtim;
	state->changed = status->st_ctim;
}

/* Finds out what a file is like now; false: it is not there, or cannot be looked at. */
bool
iu_certificate_file_state(const char *directory, const char *file, IuFileState *state)
{
	char		path[MAXPGPATH];
	struct stat status;

	if (snprintf(path, sizeof(path), "%s/%s", directory, file) >= (int) sizeof(path) || stat(path, &status) != 0)
		return false;
	note_state(&status, state);
	return true;
}

/* Whether a file has not changed between the two, not even its permissions. */
bool
iu_certificate_file_same(const IuFileState *one, const IuFileState *other)
{
	return one->device == other->device && one->inode == other->inode && one->size == other->size &&
		one->mode == other->mode && one->owner == other->owner &&
		one->modified.tv_sec == other->modified.tv_sec && one->modified.tv_nsec == other->modified.tv_nsec &&
		one->changed.tv_sec == other->changed.tv_sec && one->changed.tv_nsec == other->changed.tv_nsec;
}

/* Sets where a file really is. Returns what is wrong, palloc'd: it is nowhere, or elsewhere; NULL: it is below. */
static char *
resolve(const char *directory, const char *file, char resolved[PATH_MAX])
{
	char		path[MAXPGPATH];
	char		root[PATH_MAX];
	size_t		length;

	if (snprintf(path, sizeof(path), "%s/%s", directory, file) >= (int) sizeof(path))
		return pstrdup("the name of iu_core.certificate_directory is too long");
	if (realpath(directory, root) == NULL)
		return psprintf("iu_core.certificate_directory cannot be read: %m");
	if (realpath(path, resolved) == NULL)
		return errno == ENOENT ? psprintf("file \"%s\" is not there", file)
			: psprintf("file \"%s\" cannot be read: %m", file);
	length = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(resolved, root, length) != 0 || resolved[length] != '/')
		return psprintf("file \"%s\" is a link that leads out of iu_core.certificate_directory", file);
	return NULL;
}

/* What is wrong with the kind, the size or, of a secret, the permissions of an open file; palloc'd; NULL: nothing. */
static char *
judge(const char *file, bool secret, const struct stat *status)
{
	if (!S_ISREG(status->st_mode))
		return psprintf("file \"%s\" is not a regular file", file);
	if (status->st_size > IU_CERTIFICATE_BYTES)
		return psprintf("file \"%s\" is larger than %d kB", file, IU_CERTIFICATE_BYTES / 1024);
	if (!secret)
		return NULL;
	if (status->st_uid != geteuid() && status->st_uid != 0)
		return psprintf("file \"%s\" belongs neither to the server's user nor to root", file);
	if ((status->st_uid != 0 && (status->st_mode & (S_IRWXG | S_IRWXO)) != 0) ||
		(status->st_uid == 0 && (status->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0))
		return psprintf("file \"%s\" has a key that others may read: its permissions must be u=rw (0600) or less, "
						"or u=rw,g=r (0640) or less if root owns it",
						file);
	return NULL;
}

/* Reads an open file to its end, and ends the text with a NUL. Returns what is wrong, palloc'd, or NULL. */
static char *
read_whole(int fd, const char *file, char *text)
{
	size_t		length = 0;
	ssize_t		more;

	while ((more = read(fd, text + length, IU_CERTIFICATE_BYTES + 1 - length)) > 0)
		length += more;
	if (more < 0)
		return psprintf("file \"%s\" cannot be read: %m", file);
	if (length > IU_CERTIFICATE_BYTES)
		return psprintf("file \"%s\" is larger than %d kB", file, IU_CERTIFICATE_BYTES / 1024);
	text[length] = '\0';
	if (strlen(text) != length)
		return psprintf("file \"%s\" is not in PEM", file);
	return NULL;
}

/*
 * Reads a file. Returns what is wrong, palloc'd, or NULL.
 *
 * file: a name without a path; secret: it has a key; text: gets what is in it, IU_CERTIFICATE_BYTES + 2 bytes; state:
 * gets what it was like before it was read.
 */
char *
iu_certificate_file_read(const char *directory, const char *file, bool secret, char *text, IuFileState *state)
{
	char		resolved[PATH_MAX];
	struct stat status;
	char	   *problem = resolve(directory, file, resolved);
	int			fd;

	if (problem != NULL)
		return problem;
	fd = BasicOpenFile(resolved, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return psprintf("file \"%s\" cannot be read: %m", file);
	if (fstat(fd, &status) != 0)
		problem = psprintf("file \"%s\" cannot be read: %m", file);
	else
		problem = judge(file, secret, &status);
	if (problem == NULL)
	{
		note_state(&status, state);
		problem = read_whole(fd, file, text);
	}
	close(fd);
	return problem;
}
