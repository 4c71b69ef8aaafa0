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

/* Adds a list of replicas: those of this node, or those of others. */
static void
add_replicas(IuQdrantWhole *whole, StringInfo json, const IuJson *list, const char *here)
{
	int64		count = iu_json_length(list);
	int64		i;

	for (i = 0; i < count; i++)
	{
		const IuJson *replica = iu_json_element(list, i);
		const char *shard = iu_json_scalar(iu_json_member(replica, "shard_id"));
		const char *elsewhere = iu_json_scalar(iu_json_member(replica, "peer_id"));
		const char *peer = elsewhere ? elsewhere : here;
		const char *state = iu_json_text(iu_json_member(replica, "state"));
		char	   *entry = psprintf("{\"shard\":%s,", shard ? shard : "null");

		if (strstr(json->data, entry) != NULL)
			whole->is_replicated = true;
		appendStringInfo(json, "%s%s\"peer\":%s,\"state\":", json->len > 1 ? "," : "", entry,
						 peer ? peer : "null");
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
	const char *here = iu_json_scalar(iu_json_member(result, "peer_id"));
	StringInfoData json;

	if (iu_json_length(iu_json_member(result, "local_shards")) < 0)
		return "the answer holds no list of replicas";
	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	add_replicas(whole, &json, iu_json_member(result, "local_shards"), here);
	add_replicas(whole, &json, iu_json_member(result, "remote_shards"), NULL);
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
