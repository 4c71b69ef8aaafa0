/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  What the SQLSTATE of an error that was caught says of its cause.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_ERRORS_H
#define IU_ERRORS_H

extern bool iu_error_is_of_data(int sqlerrcode);

#endif							/* IU_ERRORS_H */
