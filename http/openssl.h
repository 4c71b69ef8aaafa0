/*-------------------------------------------------------------------------
 *
 * openssl.h
 *	  Functions of the OpenSSL that the server was built with. Only for this floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_OPENSSL_H
#define IU_OPENSSL_H

typedef struct IuOpensslFunction
{
	const char *name;
	void	  **to;				/* where the address goes */
} IuOpensslFunction;

extern bool iu_openssl_find(const IuOpensslFunction *functions, int count);

#endif							/* IU_OPENSSL_H */
