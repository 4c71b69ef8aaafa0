/*
 * reference.c: what a sender could do at best. POSTs a body COUNT times to URL
 * over 64 connections of one libcurl multi handle, with as many headers as a
 * delivery has, and prints requests a second. It claims nothing, signs nothing
 * and records nothing.
 *
 * usage: reference URL COUNT BODY_BYTES
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define CONNECTIONS 64

static int	epoll_fd;
static long timer_ms = -1;

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event event = {.data.fd = fd};

	(void) easy;
	event.events = ((what & CURL_POLL_IN) ? EPOLLIN : 0) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0);
	if (what == CURL_POLL_REMOVE)
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, &event);
	else
		epoll_ctl(epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
	if (what != CURL_POLL_REMOVE && !known)
		curl_multi_assign(arg, fd, arg);
	return 0;
}

static int
on_timer(CURLM *multi, long ms, void *arg)
{
	(void) multi, (void) arg;
	timer_ms = ms;
	return 0;
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *arg)
{
	(void) bytes, (void) arg;
	return size * count;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static CURL *
make_request(const char *url, const char *body, struct curl_slist *headers)
{
	CURL	   *easy = curl_easy_init();

	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) strlen(body));
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	return easy;
}

/* Each answer starts the next request on the same handle. Returns how many failed. */
static long
collect(CURLM *multi, long *to_start, long *done)
{
	CURLMsg    *message;
	int			left;
	long		failed = 0;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURL	   *easy = message->easy_handle;
		long		status = 0;

		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		failed += message->data.result != CURLE_OK || status / 100 != 2;
		++*done;
		curl_multi_remove_handle(multi, easy);
		if (*to_start > 0)
		{
			--*to_start;
			curl_multi_add_handle(multi, easy);
		}
	}
	return failed;
}

int
main(int argc, char **argv)
{
	CURLM	   *multi;
	struct curl_slist *headers = NULL;
	long		count,
				to_start,
				done = 0,
				failed = 0;
	int			running;
	char	   *body;
	double		start;

	if (argc != 4 || (count = atol(argv[2])) < CONNECTIONS)
	{
		fprintf(stderr, "usage: reference URL COUNT BODY_BYTES\n");
		return 2;
	}
	body = calloc(1, atol(argv[3]) + 1);
	memset(body, 'x', atol(argv[3]));
	headers = curl_slist_append(headers, "Expect:");
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "User-Agent: iu_core/1.0");
	headers = curl_slist_append(headers, "webhook-id: msg_1000000_1_0_0123456789ab");
	headers = curl_slist_append(headers, "webhook-timestamp: 1700000000");
	headers = curl_slist_append(headers, "webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=");

	curl_global_init(CURL_GLOBAL_DEFAULT);
	epoll_fd = epoll_create1(0);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, multi);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) CONNECTIONS);

	start = now();
	to_start = count - CONNECTIONS;
	for (int i = 0; i < CONNECTIONS; i++)
		curl_multi_add_handle(multi, make_request(argv[1], body, headers));
	while (done < count)
	{
		struct epoll_event events[CONNECTIONS];
		int			ready = epoll_wait(epoll_fd, events, CONNECTIONS, timer_ms < 0 ? 1000 : (int) timer_ms);

		if (ready == 0 || timer_ms == 0)
		{
			timer_ms = -1;
			curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
		}
		for (int i = 0; i < ready; i++)
			curl_multi_socket_action(multi, events[i].data.fd,
									 ((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
									 ((events[i].events & ~EPOLLOUT) ? CURL_CSELECT_IN : 0), &running);
		failed += collect(multi, &to_start, &done);
	}
	printf("%.0f\n", count / (now() - start));
	if (failed > 0)
		fprintf(stderr, "%ld requests failed\n", failed);
	return failed > 0;
}
