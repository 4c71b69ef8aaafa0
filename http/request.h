/*-------------------------------------------------------------------------
 *
 * request.h
 *	  An HTTP request, as a caller asks for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_REQUEST_H
#define IU_REQUEST_H

typedef struct IuHttpRequest
{
	const char *method;			/* GET, HEAD, POST, PUT, PATCH, DELETE or SEARCH */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	const char *body;			/* NULL for none */
	size_t		body_length;
	int			timeout_ms;		/* 0: iu_core.request_timeout, which is also the most */
	int			idle_s;			/* connections idle for more whole seconds are not used; 0: curl's default, 118 */
	const char *authorities;	/* PEM: trusted instead of those of the host; NULL for those */
	const char *identity;		/* PEM: certificate and key that are shown; NULL: none */
	size_t		keep;			/* bytes of the answer's body that are wanted; 0: all */
	void	   *owner;			/* the caller's, handed back with the answer */
} IuHttpRequest;

extern void iu_http_request_check(const IuHttpRequest *request);

#endif							/* IU_REQUEST_H */
