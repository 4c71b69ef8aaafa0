/*-------------------------------------------------------------------------
 *
 * openssl.c
 *	  Functions of the OpenSSL that the server was built with. They are in the
 *	  process then, and are looked up by name, so that neither OpenSSL's headers nor
 *	  a version of it are needed to build.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dlfcn.h>

#include "core/compat.h"
#include "http/openssl.h"

/* False: this server has no OpenSSL, whatever libcurl brings with it, or one that is too old. Raises nothing. */
bool
iu_openssl_find(const IuOpensslFunction *functions, int count)
{
#ifdef USE_OPENSSL
	int			i;

	for (i = 0; i < count; i++)
		if ((*functions[i].to = dlsym(RTLD_DEFAULT, functions[i].name)) == NULL)
			return false;
	return true;
#else
	return false;
#endif
}
