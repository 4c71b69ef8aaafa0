/*-------------------------------------------------------------------------
 *
 * shards.c
 *	  Collections of Qdrant with shard keys: what a chain of requests for
 *	  points finds out about its collection.
 *
 * Where the sharding method is "custom", an id is unique within a shard key
 * only. Asked without a shard key, Qdrant gives one point of each id, while its
 * count adds all of them up. So such a collection is read key by key. That it is
 * one is seen in its points, which have a shard key; then what came without is
 * dropped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/keys.h"
#include "fdw/qdrant/names.h"
#include "fdw/qdrant/shards.h"
#include "fdw/resource.h"
#include "utils/json.h"

/* ---- shard keys ---- */

/*
 * Whether these points, asked for without a shard key, are of a collection that
 * has them: then they are not to be handed over, and the keys have been asked for;
 * or first, where the collection may have been read by an alias, all once more
 * under its own name.
 */
bool
iu_qdrant_shards_found(IuScan *scan, IuQdrantChain *chain, const IuJson *points, int64 count)
{
	IuFetch		fetch = {"GET", NULL, NULL, chain->collection, IU_QDRANT_SHARDS, chain};
	const char *problem;
	int64		i;

	if (chain->shard != NULL)
		return false;
	for (i = 0; i < count; i++)
		if (iu_json_scalar(iu_json_member(iu_json_element(points, i), "shard_key")) != NULL)
		{
			chain->has_shards = true;
			if (chain->address == NULL)
			{
				iu_qdrant_chain_ask(scan, chain);
				return true;
			}
			fetch.path = iu_qdrant_path(chain->address, "/shards", &problem);
			iu_scan_fetch(scan, &fetch);
			return true;
		}
	return false;
}

/* A shard key as JSON: a string or a whole number. NULL if it is neither. */
static char *
shard_as_json(const IuJson *key)
{
	StringInfoData json;

	if (iu_json_text(key) == NULL)
		return iu_json_scalar(key);
	initStringInfo(&json);
	escape_json(&json, iu_json_text(key));
	return json.data;
}

/* Whether the query asks for this shard key. */
static bool
is_wanted(IuScan *scan, const IuJson *key)
{
	const char *text = iu_json_scalar(key);

	if (!iu_scan_restricts(scan, IU_KEY_SHARD))
		return true;
	return text != NULL && iu_keys_hold(iu_scan_keys(scan, IU_KEY_SHARD), text);
}

/* Reads the list of a collection's shard keys, and begins to read each of them. */
void
iu_qdrant_shards_answered(IuScan *scan, IuQdrantChain *chain, const IuJson *document)
{
	const IuJson *keys = iu_json_member(iu_json_member(document, "result"), "shard_keys");
	int64		count = iu_json_length(keys);
	int64		i;

	if (count <= 0)
	{
		iu_qdrant_unusable(scan, chain->collection, "its points have shard keys, and the answer holds no list of them");
		return;
	}
	for (i = 0; i < count; i++)
	{
		const IuJson *key = iu_json_member(iu_json_element(keys, i), "key");
		const char *json = shard_as_json(key);
		IuQdrantChain *part;

		if (json == NULL)
		{
			iu_qdrant_unusable(scan, chain->collection, "the answer holds a shard key that is none");
			return;
		}
		if (!is_wanted(scan, key))
			continue;
		part = iu_scan_alloc(scan, sizeof(IuQdrantChain));
		part->collection = chain->collection;
		part->address = chain->address;
		part->question = chain->question;
		part->has_shards = true;
		part->shard = iu_scan_strdup(scan, json);
		iu_qdrant_chain_ask(scan, part);
	}
}
