/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Makes text out of bytes that nobody vouches for: what the network sent,
 *	  and what a process of another database wrote into shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_TEXT_H
#define IU_TEXT_H

extern char *iu_text_of_bytes(const char *bytes, size_t length, size_t most);
extern void iu_text_hide(char *bytes, size_t length, const char *secret);
extern char *iu_text_readable(const char *string);
extern char *iu_text_ascii(const char *string);
extern char *iu_text_on_one_line(char *text);

#endif							/* IU_TEXT_H */
