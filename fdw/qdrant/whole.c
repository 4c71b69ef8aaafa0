/*-------------------------------------------------------------------------
 *
 * whole.c
 *	  Whether what Qdrant counts is everything that a collection was given.
 *
 * An exact count is exact of what the replica has that was asked. It leaves out
 * points that are deferred until the collection is optimized, updates that are
 * queued, and what another replica has. Qdrant takes none of them for an error,
 * so whoever needs the whole asks for these as well, and has no number where
 * there is a doubt.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/qdrant/whole.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/json.h"

/* Reads a number that may be missing. False if it is; *problem is set if it is none. */
static bool
read_number(const IuJson *value, int64 *number, const char **problem)
{
	if (value == NULL || iu_json_is_null(value))
		return false;
	*problem = iu_json_count(value, number);
	return *problem == NULL;
}

/*
 * Reads the description of a collection. NULL on success, otherwise what is wrong
 * with it.
 */
const char *
iu_qdrant_whole_describe(IuQdrantWhole *whole, const IuJson *result)
{
	const IuJson *queue = iu_json_member(result, "update_queue");
	const IuJson *optimizer = iu_json_member(iu_json_member(result, "config"), "optimizer_config");
	const char *prevents = iu_json_scalar(iu_json_member(optimizer, "prevent_unoptimized"));
	const char *problem = NULL;

	whole->tells_queue = read_number(iu_json_member(queue, "length"), &whole->queued, &problem);
	whole->tells_deferred = read_number(iu_json_member(queue, "deferred_points"), &whole->deferred, &problem);
	/* points are deferred only where the collection's configuration wants it */
	if (!whole->tells_deferred && whole->tells_queue)
		whole->tells_deferred = prevents == NULL || strcmp(prevents, "true") != 0;
	whole->status = iu_json_text(iu_json_member(result, "status"));
	return problem;
}

static int
compare_shards(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Whether two of the replicas are of one shard. shards: of each of them, put into order here. */
static bool
has_twice(const char **shards, int count)
{
	int			i;

	qsort(shards, count, sizeof(char *), compare_shards);
	for (i = 1; i < count; i++)
		if (strcmp(shards[i - 1], shards[i]) == 0)
			return true;
	return false;
}

/* A number as it stands in JSON; NULL for anything else. */
static const char *
number_of(const IuJson *value)
{
	return iu_json_text(value) == NULL ? iu_json_scalar(value) : NULL;
}

/* Adds a list of replicas: those of this node, or those of others. *shards: what shard each is of, *known of them. */
static void
add_replicas(IuQdrantWhole *whole, StringInfo json, const IuJson *list, const char *here, const char **shards,
			 int *known)
{
	int64		count = iu_json_length(list);
	int64		i;

	for (i = 0; i < count; i++)
	{
		const IuJson *replica = iu_json_element(list, i);
		const char *shard = number_of(iu_json_member(replica, "shard_id"));
		const char *elsewhere = number_of(iu_json_member(replica, "peer_id"));
		const char *peer = elsewhere ? elsewhere : here;
		const char *state = iu_json_text(iu_json_member(replica, "state"));

		CHECK_FOR_INTERRUPTS();
		shards[(*known)++] = shard ? shard : "null";
		appendStringInfo(json, "%s{\"shard\":%s,\"peer\":%s,\"state\":", json->len > 1 ? "," : "",
						 shard ? shard : "null", peer ? peer : "null");
		escape_json(json, state ? state : "");
		appendStringInfoChar(json, '}');
		if (state == NULL || strcmp(state, "Active") != 0)
			whole->trouble = psprintf("a replica of shard %s is %s", shard ? shard : "?", state ? state : "unknown");
	}
}

/*
 * Reads where the replicas of a collection are. NULL on success, otherwise what is
 * wrong with the answer.
 */
const char *
iu_qdrant_whole_replicas(IuQdrantWhole *whole, const IuJson *result)
{
	const char *here = number_of(iu_json_member(result, "peer_id"));
	const IuJson *local = iu_json_member(result, "local_shards");
	const IuJson *remote = iu_json_member(result, "remote_shards");
	const char **shards;
	int			known = 0;
	StringInfoData json;

	if (iu_json_length(local) < 0 || iu_json_length(remote) < 0)
		return "the answer holds no list of replicas";
	shards = palloc(sizeof(char *) * (iu_json_length(local) + iu_json_length(remote) + 1));
	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	add_replicas(whole, &json, local, here, shards, &known);
	add_replicas(whole, &json, remote, NULL, shards, &known);
	whole->is_replicated = has_twice(shards, known);
	appendStringInfoChar(&json, ']');
	whole->replicas = json.data;
	if (iu_json_length(iu_json_member(result, "shard_transfers")) > 0)
		whole->trouble = "a shard is being moved";
	return NULL;
}

/* Adds a reason to doubt. */
static void
add_doubt(StringInfo doubt, const char *reason)
{
	appendStringInfo(doubt, "%s%s", doubt->len ? "; " : "", reason);
}

/*
 * Why the count may not be everything, palloc'd; NULL if there is no doubt.
 *
 * count: as it was given.
 */
char *
iu_qdrant_whole_doubt(const IuQdrantWhole *whole, int64 count)
{
	StringInfoData doubt;

	initStringInfo(&doubt);
	if (!whole->tells_queue)
		add_doubt(&doubt, "Qdrant does not tell whether updates are queued");
	else if (whole->queued > 0)
		add_doubt(&doubt, psprintf("updates are queued: " INT64_FORMAT, whole->queued));
	if (whole->tells_queue && !whole->tells_deferred)
		add_doubt(&doubt, "Qdrant does not tell how many points are deferred");
	else if (whole->deferred > 0)
		add_doubt(&doubt, psprintf("points are deferred: " INT64_FORMAT, whole->deferred));
	if (whole->status == NULL || strcmp(whole->status, "red") == 0)
		add_doubt(&doubt, "the status is red");
	if (whole->trouble != NULL)
		add_doubt(&doubt, whole->trouble);
	if ((whole->least >= 0 && whole->least != count) || (whole->middle >= 0 && whole->middle != count))
	{
		char	   *counts = psprintf(INT64_FORMAT ", " INT64_FORMAT " or " INT64_FORMAT,
									  count, whole->least, whole->middle);

		add_doubt(&doubt, psprintf("replicas disagree: %s", counts));
	}
	return doubt.len > 0 ? doubt.data : NULL;
}
