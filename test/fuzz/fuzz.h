/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What the two halves of the fuzz target share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_FUZZ_H
#define IU_FUZZ_H

/* The url of the foreign servers, and the secret of their user mappings (fuzz.sql). */
#define IU_FUZZ_URL "http://127.0.0.1:9"
#define IU_FUZZ_SECRET "fuzz-secret"

/* Ends the process where what must hold does not: a finding. */
extern void iu_fuzz_require(bool holds, const char *what);

/* The answers that the remote gives from now on. */
extern void iu_fuzz_answers(const unsigned char *data, size_t length);

#endif							/* IU_FUZZ_H */
