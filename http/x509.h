/*-------------------------------------------------------------------------
 *
 * x509.h
 *	  What certificates in PEM say: when they end, and whether a key is theirs.
 *	  Only for this floor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_X509_H
#define IU_X509_H

/* When certificates end, in seconds since 1970; 0: it cannot be told. */
typedef struct IuEndings
{
	int			count;			/* of the certificates */
	int64		of_the_first;	/* in the text */
	int64		earliest;
	int64		due;			/* when the first of them should be replaced */
	int64		latest;
} IuEndings;

typedef enum IuPemProblem
{
	IU_PEM_GOOD,
	IU_PEM_NO_CERTIFICATE,		/* there is none that can be read, or one cannot */
	IU_PEM_NO_KEY,				/* there is none that can be read without a passphrase */
	IU_PEM_OTHER_KEY			/* it is not that of the first certificate */
} IuPemProblem;

extern IuPemProblem iu_x509_look(const char *certificates, const char *key, IuEndings *endings);

#endif							/* IU_X509_H */
