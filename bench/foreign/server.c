/*
 * server.c: a Qdrant that costs as little as a server can: every answer is made
 * before the first request comes. A thread for each connection, HTTP/1.1.
 * Prints its port.
 *
 * A collection whose name begins with slow_ is answered after 50 ms, hang never,
 * every other has a million points to count; scroll gives POINTS of them in
 * pages of 1000.
 *
 * usage: server POINTS
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGE 1000

typedef struct
{
	char	   *text;
	size_t		length;
} Answer;

static Answer *pages;
static Answer counted;
static Answer unknown;
static int	page_count;

static Answer
answer_of(const char *status, const char *body)
{
	Answer		answer;

	answer.text = malloc(strlen(body) + 200);
	answer.length = sprintf(answer.text,
							"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
							status, strlen(body), body);
	return answer;
}

/* Points of about 250 bytes, as documents have them. */
static Answer
page_of(long first, long last_of_all)
{
	char	   *body = malloc(PAGE * 400 + 200);
	char	   *end = body + sprintf(body, "{\"result\":{\"points\":[");
	Answer		answer;
	long		id;

	for (id = first; id < first + PAGE && id <= last_of_all; id++)
		end += sprintf(end, "%s{\"id\":%ld,\"payload\":{\"document\":\"iu/document/%ld\","
					   "\"title\":\"A unit of information, number %ld\",\"version\":%ld,"
					   "\"tags\":[\"alpha\",\"beta\"],\"score\":%.4f,\"published\":%s,\"digest\":\"%016lx%016lx\","
					   "\"made_at\":\"2024-01-05T00:00:00.000Z\"}}",
					   id > first ? "," : "", id, id / 8, id, id % 8, id / 7.0, id % 2 ? "true" : "false",
					   id * 2654435761UL, id * 40503UL);
	if (id <= last_of_all)
		end += sprintf(end, "],\"next_page_offset\":%ld},\"status\":\"ok\",\"time\":0.0004}", id);
	else
		end += sprintf(end, "],\"next_page_offset\":null},\"status\":\"ok\",\"time\":0.0004}");
	answer = answer_of("200 OK", body);
	free(body);
	return answer;
}

static const Answer *
find_answer(const char *head, const char *body)
{
	if (strstr(head, "/points/count ") || strstr(head, "/points/count?"))
		return &counted;
	if ((strstr(head, "/points/scroll ") || strstr(head, "/points/scroll?")) && page_count > 0)
	{
		const char *offset = strstr(body, "\"offset\":");
		long		from = offset ? atol(offset + 9) : 1;

		return &pages[(from - 1) / PAGE % page_count];
	}
	return &unknown;
}

/* A request's whole text is in the buffer, as small as it is. */
static void *
serve(void *arg)
{
	int			fd = (int) (long) arg;
	char		input[65536];
	size_t		length = 0;

	for (;;)
	{
		ssize_t		got = read(fd, input + length, sizeof(input) - 1 - length);
		char	   *body;

		if (got <= 0)
			break;
		length += got;
		input[length] = '\0';
		while ((body = strstr(input, "\r\n\r\n")) != NULL)
		{
			const char *announced = strcasestr(input, "\r\ncontent-length:");
			size_t		body_length = announced && announced < body ? strtoul(announced + 17, NULL, 10) : 0;
			const Answer *answer;
			size_t		sent = 0;

			body += 4;
			if (input + length < body + body_length)
				break;
			if (strstr(input, "/collections/hang/"))
				pause();
			if (strstr(input, "/collections/slow_"))
				usleep(50000);
			answer = find_answer(input, body);
			while (sent < answer->length)
			{
				ssize_t		n = write(fd, answer->text + sent, answer->length - sent);

				if (n <= 0)
					goto done;
				sent += n;
			}
			length -= body + body_length - input;
			memmove(input, body + body_length, length + 1);
		}
	}
done:
	close(fd);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t	size = sizeof(address);
	int			listener = socket(AF_INET, SOCK_STREAM, 0);
	long		points = argc > 1 ? atol(argv[1]) : 0;
	int			on = 1;
	int			i;

	signal(SIGPIPE, SIG_IGN);
	page_count = (points + PAGE - 1) / PAGE;
	pages = calloc(page_count + 1, sizeof(Answer));
	for (i = 0; i < page_count; i++)
		pages[i] = page_of(i * (long) PAGE + 1, points);
	counted = answer_of("200 OK", "{\"result\":{\"count\":1000000},\"status\":\"ok\",\"time\":0.0002}");
	unknown = answer_of("404 Not Found", "");

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0 || listen(listener, 512) != 0)
		return 1;
	getsockname(listener, (struct sockaddr *) &address, &size);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	for (;;)
	{
		pthread_t	thread;
		int			fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (pthread_create(&thread, NULL, serve, (void *) (long) fd) == 0)
			pthread_detach(thread);
	}
}
