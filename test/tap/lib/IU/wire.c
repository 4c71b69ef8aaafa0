/*
 * wire.c
 *	  A network of a test's own, preloaded into a server: names resolve to what
 *	  the test says, every TCP connection ends at the test's listener whatever
 *	  address it was meant for, and both are written down. So a test can watch
 *	  a request to 169.254.169.254 fail to happen. See Wire.pm.
 *
 * The folder named by IU_WIRE holds
 *	  hosts	lines "NAME ADDRESS...": the n-th look-up of a name gets the n-th of
 *			its lines, later ones the last; other names are resolved as ever.
 *			Newer libcurls ask for each family: those count apart
 *	  trap	the port on 127.0.0.1 at which connections end; 0: the port that was meant
 *	  seen	what happened: "lookup NAME FAMILY", "connect ADDRESS PORT"
 *	  ca.pem	if there, it is read in place of the system's certificates
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define DESCRIPTORS 1024

#define REAL(function) ((__typeof__(&(function))) dlsym(RTLD_NEXT, #function))

/* Where the connection of a descriptor was meant to go. */
static struct sockaddr_storage meant[DESCRIPTORS];

static const char *
file_named(const char *name, char *path, size_t size)
{
	const char *folder = getenv("IU_WIRE");

	if (folder == NULL || snprintf(path, size, "%s/%s", folder, name) >= (int) size)
		return NULL;
	return path;
}

static void
note(const char *what, const char *detail)
{
	char		path[1024];
	char		line[512];
	int			length = snprintf(line, sizeof(line), "%s %s\n", what, detail);
	int			fd;

	if (file_named("seen", path, sizeof(path)) == NULL)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t) length) != length)
		abort();				/* a test must not pass because nobody looked */
	close(fd);
}

/* How many lines say this. */
static int
count_lines(const char *name, const char *what, const char *detail)
{
	char		path[1024];
	char		line[1024];
	char		wanted[512];
	int			count = 0;
	FILE	   *file = file_named(name, path, sizeof(path)) ? REAL(fopen)(path, "re") : NULL;

	if (file == NULL)
		return 0;
	snprintf(wanted, sizeof(wanted), "%s %s\n", what, detail);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strcasecmp(line, wanted) == 0)
			count++;
	fclose(file);
	return count;
}

/* The n-th line of this name, or its last, without the name; false if it has none. */
static int
find_answer(const char *name, int n, char *answer, size_t size)
{
	char		path[1024];
	char		line[1024];
	size_t		length = strlen(name);
	int			found = 0;
	FILE	   *file = file_named("hosts", path, sizeof(path)) ? REAL(fopen)(path, "re") : NULL;

	if (file == NULL)
		return 0;
	while (found <= n && fgets(line, sizeof(line), file) != NULL)
	{
		if (strncasecmp(line, name, length) != 0 || strchr(" \n", line[length]) == NULL)
			continue;
		snprintf(answer, size, "%s", line + length);
		found++;
	}
	fclose(file);
	return found > 0;
}

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	char		answer[1024];
	char		wanted[300];
	struct addrinfo numeric = {0};
	struct addrinfo **end = result;
	char	   *rest;
	int			known;

	if (node == NULL || (hints != NULL && (hints->ai_flags & AI_NUMERICHOST)))
		return REAL(getaddrinfo)(node, service, hints, result);
	snprintf(wanted, sizeof(wanted), "%s %d", node, hints ? hints->ai_family : AF_UNSPEC);
	known = find_answer(node, count_lines("seen", "lookup", wanted), answer, sizeof(answer));
	note("lookup", wanted);
	if (!known)
		return REAL(getaddrinfo)(node, service, hints, result);
	if (hints != NULL)
		numeric = *hints;
	numeric.ai_flags = AI_NUMERICHOST;
	*result = NULL;
	for (char *address = strtok_r(answer, " \n", &rest); address != NULL; address = strtok_r(NULL, " \n", &rest))
		if (REAL(getaddrinfo)(address, service, &numeric, end) == 0)
			while (*end != NULL)
				end = &(*end)->ai_next;
	return *result == NULL ? EAI_NONAME : 0;
}

/* One family for all, so that a machine without IPv6 can watch it as well. */
int
socket(int family, int type, int protocol)
{
	return REAL(socket)(family == AF_INET6 ? AF_INET : family, type, protocol);
}

int
connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_in trap = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char		host[INET6_ADDRSTRLEN] = "?";
	char		seen[INET6_ADDRSTRLEN + 8];
	char		path[1024];
	int			port = 0;
	int			end;
	FILE	   *file;

	if (address->sa_family == AF_INET)
	{
		const struct sockaddr_in *ipv4 = (const struct sockaddr_in *) address;

		inet_ntop(AF_INET, &ipv4->sin_addr, host, sizeof(host));
		port = ntohs(ipv4->sin_port);
	}
	else if (address->sa_family == AF_INET6)
	{
		const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *) address;

		inet_ntop(AF_INET6, &ipv6->sin6_addr, host, sizeof(host));
		port = ntohs(ipv6->sin6_port);
	}
	else
		return REAL(connect)(fd, address, length);

	snprintf(seen, sizeof(seen), "%s %d", host, port);
	note("connect", seen);
	file = file_named("trap", path, sizeof(path)) ? REAL(fopen)(path, "re") : NULL;
	if (file == NULL || fscanf(file, "%d", &end) != 1)
		abort();
	fclose(file);
	trap.sin_port = htons((unsigned short) (end ? end : port));
	if (fd >= 0 && fd < DESCRIPTORS && length <= sizeof(meant[fd]))
		memcpy(&meant[fd], address, length);
	return REAL(connect)(fd, (const struct sockaddr *) &trap, sizeof(trap));
}

int
getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	socklen_t	room = *length;
	socklen_t	size;
	int			result = REAL(getpeername)(fd, address, length);

	if (result != 0 || address->sa_family != AF_INET || fd >= DESCRIPTORS || meant[fd].ss_family == AF_UNSPEC)
		return result;
	size = meant[fd].ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	memcpy(address, &meant[fd], size < room ? size : room);
	*length = size;
	return 0;
}

static const char *
certificates(const char *path, char *own, size_t size)
{
	if (strcmp(path, "/etc/ssl/certs/ca-certificates.crt") == 0 &&
		file_named("ca.pem", own, size) != NULL && access(own, R_OK) == 0)
		return own;
	return path;
}

FILE *
fopen(const char *path, const char *mode)
{
	char		own[1024];

	return REAL(fopen)(certificates(path, own, sizeof(own)), mode);
}

FILE *
fopen64(const char *path, const char *mode)
{
	char		own[1024];

	return REAL(fopen64)(certificates(path, own, sizeof(own)), mode);
}
