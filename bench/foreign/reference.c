/*
 * reference.c: what the wrappers are measured against, a plain libcurl loop on
 * one connection.
 *
 * usage: reference counts URL TIMES     ms for each count request, the median
 *        reference scan URL             s for a scroll to the end, each page parsed by jansson and each point looked at
 */
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct
{
	char	   *data;
	size_t		length;
	size_t		capacity;
} Body;

static size_t
on_body(char *bytes, size_t size, size_t count, void *arg)
{
	Body	   *body = arg;

	while (body->length + size * count + 1 > body->capacity)
		body->data = realloc(body->data, body->capacity = body->capacity ? body->capacity * 2 : 65536);
	memcpy(body->data + body->length, bytes, size * count);
	body->length += size * count;
	return size * count;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int
compare(const void *a, const void *b)
{
	return (*(const double *) a > *(const double *) b) - (*(const double *) a < *(const double *) b);
}

static void
perform(CURL *easy, Body *body, const char *question)
{
	long		status;

	body->length = 0;
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, question);
	if (curl_easy_perform(easy) != CURLE_OK ||
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status != 200)
	{
		fprintf(stderr, "a request failed\n");
		exit(1);
	}
}

static void
count(CURL *easy, Body *body, int times)
{
	double	   *took = malloc(sizeof(double) * times);
	int			i;

	for (i = 0; i < times; i++)
	{
		double		start = now();

		perform(easy, body, "{\"exact\":true}");
		took[i] = now() - start;
	}
	qsort(took, times, sizeof(double), compare);
	printf("%.4f\n", took[times / 2] * 1000);
}

static void
scan(CURL *easy, Body *body)
{
	char		question[200] = "{\"limit\":1000,\"with_payload\":true,\"with_vector\":false}";
	double		start = now();
	long		points = 0;

	for (;;)
	{
		json_t	   *page;
		json_t	   *result;
		json_t	   *list;
		json_t	   *next;
		size_t		i;

		perform(easy, body, question);
		page = json_loadb(body->data, body->length, 0, NULL);
		result = json_object_get(page, "result");
		list = json_object_get(result, "points");
		for (i = 0; i < json_array_size(list); i++)
		{
			json_t	   *point = json_array_get(list, i);

			points += json_is_integer(json_object_get(point, "id")) &&
				json_is_object(json_object_get(point, "payload"));
		}
		next = json_object_get(result, "next_page_offset");
		if (!json_is_integer(next))
			break;
		snprintf(question, sizeof(question),
				 "{\"limit\":1000,\"offset\":%lld,\"with_payload\":true,\"with_vector\":false}",
				 (long long) json_integer_value(next));
		json_decref(page);
	}
	printf("%.4f %ld\n", now() - start, points);
}

int
main(int argc, char **argv)
{
	CURL	   *easy = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	Body		body = {0};

	headers = curl_slist_append(headers, "api-key: bench");
	curl_easy_setopt(easy, CURLOPT_URL, argv[2]);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
	if (argc > 3 && strcmp(argv[1], "counts") == 0)
		count(easy, &body, atoi(argv[3]));
	else if (argc > 2 && strcmp(argv[1], "scan") == 0)
		scan(easy, &body);
	else
		return 2;
	return 0;
}
