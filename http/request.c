/*-------------------------------------------------------------------------
 *
 * request.c
 *	  An HTTP request, as a caller asks for it: what no server should be asked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "http/request.h"

static const char *const known_methods[] = {
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "SEARCH"
};

/* These frame the message or pick the virtual host; curl writes them. */
static const char *const reserved_headers[] = {
	"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect"
};

static void
check_method(const char *method)
{
	int			i;

	for (i = 0; i < lengthof(known_methods); i++)
		if (method != NULL && strcmp(method, known_methods[i]) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unsupported HTTP method"),
			 errhint("Supported are GET, HEAD, POST, PUT, PATCH, DELETE and SEARCH."),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_http_method")));
}

/*
 * Raises if this is no header, or one that a caller cannot set. No message
 * quotes the value, which may be a secret.
 *
 * number: which one of the request's it is, from 1.
 */
static void
check_header(const char *header, int number)
{
	size_t		name = strspn(header, "!#$%&'*+-.^_`|~0123456789"
							  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
	const char *p;
	int			i;

	if (name == 0 || header[name] != ':')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("HTTP header %d is not of the form \"Name: value\"", number),
				 errdetail("Header: %d.", number),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_http_header")));
	for (p = header + name; *p != '\0'; p++)
		if (((unsigned char) *p < ' ' && *p != '\t') || *p == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("HTTP header %d holds a control character", number),
					 errdetail("Header: %d.", number),
					 errhint("A token read from a file may end in a line break."),
					 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_http_header")));
	for (i = 0; i < lengthof(reserved_headers); i++)
		if (strlen(reserved_headers[i]) == name &&
			pg_strncasecmp(header, reserved_headers[i], name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("HTTP header \"%s\" cannot be set", reserved_headers[i]),
					 errdetail("Header: %s.", reserved_headers[i]),
					 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_http_header_reserved")));
}

/* Raises (22023) for an unknown method and for a malformed header. */
void
iu_http_request_check(const IuHttpRequest *request)
{
	int			i;

	check_method(request->method);
	for (i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
		check_header(request->headers[i], i + 1);
}
