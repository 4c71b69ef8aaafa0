/*-------------------------------------------------------------------------
 *
 * certificate.h
 *	  The certificates by which a request goes, from the files of
 *	  iu_core.certificate_directory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef IU_CERTIFICATE_H
#define IU_CERTIFICATE_H

/* As an IuHttpRequest has them; they last until others are read. */
typedef struct IuCertificates
{
	const char *authorities;	/* NULL: those of the host */
	const char *identity;		/* NULL: none is shown */
} IuCertificates;

extern char *iu_certificates_read(const char *url, const char *ca_name, const char *client_name,
								  IuCertificates *certificates);
extern void iu_certificates_define_setting(void);

#endif							/* IU_CERTIFICATE_H */
