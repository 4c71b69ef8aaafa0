/*-------------------------------------------------------------------------
 *
 * certificate_file.h
 *	  Reads a file of iu_core.certificate_directory. Only for this floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CERTIFICATE_FILE_H
#define IU_CERTIFICATE_FILE_H

#include <sys/stat.h>

#define IU_CERTIFICATE_BYTES (64 * 1024)	/* the largest file */

/* By this a file is known to be the one that was read. */
typedef struct IuFileState
{
	dev_t		device;
	ino_t		inode;
	off_t		size;
	mode_t		mode;
	uid_t		owner;
	struct timespec modified;
	struct timespec changed;
} IuFileState;

extern bool iu_certificate_file_state(const char *directory, const char *file, IuFileState *state);
extern bool iu_certificate_file_same(const IuFileState *one, const IuFileState *other);
extern char *iu_certificate_file_read(const char *directory, const char *file, bool secret, char *text,
									  IuFileState *state);

#endif							/* IU_CERTIFICATE_FILE_H */
