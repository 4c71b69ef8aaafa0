/*-------------------------------------------------------------------------
 *
 * note_calls.c
 *	  Notes the calls of a library built with -finstrument-functions, for
 *	  tools/walk. Preloaded into the server, never part of the extension.
 *
 * While the folder $IU_CALLS/now exists, each call's address in its library is
 * a line of $IU_CALLS/<process id>.calls.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void		__cyg_profile_func_enter(void *function, void *caller);
void		__cyg_profile_func_exit(void *function, void *caller);

void
__cyg_profile_func_enter(void *function, void *caller)
{
	const char *folder = getenv("IU_CALLS");
	char		path[1024];
	Dl_info		info;
	FILE	   *file;

	if (folder == NULL)
		return;
	snprintf(path, sizeof(path), "%s/now", folder);
	if (access(path, F_OK) != 0 || dladdr(function, &info) == 0)
		return;
	snprintf(path, sizeof(path), "%s/%d.calls", folder, (int) getpid());
	file = fopen(path, "a");
	if (file == NULL)
		return;
	fprintf(file, "0x%lx\n", (unsigned long) ((char *) function - (char *) info.dli_fbase));
	fclose(file);
}

void
__cyg_profile_func_exit(void *function, void *caller)
{
}
