/*-------------------------------------------------------------------------
 *
 * chain.c
 *	  The requests for the points of one collection, one after the other, each
 *	  as large as this server and Qdrant allow.
 *
 * Where a request is refused because it is too large in some way, it is asked
 * again, smaller: each such refusal leaves fewer rows or fewer ids to a
 * request than the one before it, so that they come to an end.
 *
 * An alias may be switched to another collection while it is read. So it is
 * resolved before the first request, once in a scan, and all is read under the
 * collection's own name; unless one request is all that is asked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/qdrant/aliases.h"
#include "fdw/qdrant/chain.h"
#include "fdw/qdrant/names.h"
#include "fdw/resource.h"

#define MOST_PAUSES 3			/* for one request, each as long as the remote says */
#define LONGEST_PAUSE_S 120

/* ---- asking ---- */

/*
 * Sends a request of the chain.
 *
 * rest: of the address, after the collection.
 */
static void
submit_request(IuScan *scan, IuQdrantChain *chain, int purpose, const char *rest, const char *body)
{
	const char *problem;
	IuFetch		fetch = {"POST", NULL, body, chain->collection, purpose, chain};

	if (chain->shard != NULL)
		fetch.body = psprintf("%.*s,\"shard_key\":%s}", (int) strlen(body) - 1, body, chain->shard);
	fetch.path = iu_qdrant_path(chain->address ? chain->address : chain->collection,
								psprintf("%s%s", rest, iu_qdrant_parameters(scan)), &problem);
	if (fetch.path == NULL)
		iu_qdrant_unaddressable(scan, chain->collection, problem);
	else if (chain->pause_s > 0)
		iu_scan_fetch_later(scan, &fetch, chain->pause_s);
	else
		iu_scan_fetch(scan, &fetch);
	chain->pause_s = 0;
}

/* ---- aliases ---- */

/* What a scan knows of aliases, rescans included. */
typedef struct Kept
{
	bool		known;
	IuQdrantAliases aliases;
} Kept;

/* Whether the next request is the only one in the whole scan, so that it cannot give something of two collections. */
static bool
is_only_request(IuScan *scan, const IuQdrantChain *chain)
{
	const IuQdrantQuestion *question = chain->question;

	if (iu_scan_counts(scan))
		return true;
	return iu_scan_query(scan)->runs_once && !chain->has_shards && question->by_id && !chain->without_ids &&
		chain->slice.first == 0 && chain->offset == NULL && question->id_count <= question->ids_at_once &&
		(question->filter == NULL || question->id_count <= iu_scan_page_size(scan));
}

/* Whether it is known which collection the chain reads; a name that comes from the list of all is no alias. */
static bool
has_address(IuScan *scan, IuQdrantChain *chain)
{
	const Kept *kept = iu_scan_keep(scan, sizeof(Kept));

	if (chain->address != NULL)
		return true;
	if (!iu_scan_restricts(scan, IU_KEY_COLLECTION) || iu_scan_query(scan)->listed)
		chain->address = chain->collection;
	else if (kept->known)
		chain->address = iu_qdrant_aliases_resolve(&kept->aliases, chain->collection);
	return chain->address != NULL;
}

/* Asks what the names of collections stand for; all chains that need to know wait for the one answer. */
static void
ask_for_aliases(IuScan *scan, IuQdrantChain *chain)
{
	IuQdrantQuestion *question = chain->question;
	IuFetch		fetch = {"GET", "/aliases", NULL, chain->collection, IU_QDRANT_RESOLVE, chain};

	if (question->waiting == NULL)
		iu_scan_fetch(scan, &fetch);
	chain->next_waiting = question->waiting;
	question->waiting = chain;
}

/*
 * Keeps the aliases for the scan, and goes on with the chains that wait for them.
 *
 * document: the list of aliases; NULL if Qdrant does not tell it.
 */
void
iu_qdrant_chain_resolved(IuScan *scan, IuQdrantChain *chain, const IuJson *document)
{
	IuQdrantQuestion *question = chain->question;
	Kept	   *kept = iu_scan_keep(scan, sizeof(Kept));
	IuQdrantAliases aliases = {0};

	if (document != NULL && !iu_qdrant_aliases_read(&aliases, document))
	{
		iu_qdrant_unusable(scan, chain->collection, "the answer holds no list of aliases");
		return;
	}
	kept->aliases = *iu_qdrant_aliases_copy(&aliases, iu_scan_memory(scan));
	kept->known = true;
	while (question->waiting != NULL)
	{
		chain = question->waiting;
		question->waiting = chain->next_waiting;
		iu_qdrant_chain_ask(scan, chain);
	}
}

/* ---- what comes next ---- */

/* Asks for what comes next in the chain. */
void
iu_qdrant_chain_ask(IuScan *scan, IuQdrantChain *chain)
{
	const IuQdrantQuestion *question = chain->question;
	bool		by_id = question->by_id && !chain->without_ids;

	if (!is_only_request(scan, chain) && !has_address(scan, chain))
	{
		ask_for_aliases(scan, chain);
		return;
	}
	if (by_id && chain->offset == NULL)
		chain->slice.count = Min(question->id_count - chain->slice.first, question->ids_at_once);
	if (iu_scan_counts(scan))
		submit_request(scan, chain, IU_QDRANT_COUNT, "/points/count", iu_qdrant_count_body(question));
	else if (by_id && question->filter == NULL)
		submit_request(scan, chain, IU_QDRANT_FETCH, "/points", iu_qdrant_fetch_body(question, &chain->slice));
	else
	{
		chain->limit = iu_scan_page_size(scan);
		submit_request(scan, chain, IU_QDRANT_SCROLL, "/points/scroll",
					   iu_qdrant_scroll_body(question, by_id ? &chain->slice : NULL, chain->offset, chain->limit));
	}
}

/* Notes the id that the next page begins with, as JSON; NULL: the first page. There may be a million pages. */
void
iu_qdrant_chain_set_offset(IuScan *scan, IuQdrantChain *chain, const char *offset)
{
	if (chain->offset != NULL)
		pfree(chain->offset);
	chain->offset = offset ? iu_scan_strdup(scan, offset) : NULL;
}

/* After the last page of these ids: asks for the next ones, if there are more. */
void
iu_qdrant_chain_ask_more_ids(IuScan *scan, IuQdrantChain *chain)
{
	if (!chain->question->by_id || chain->without_ids ||
		chain->slice.first + chain->slice.count >= chain->question->id_count)
		return;
	chain->slice.first += chain->slice.count;
	iu_qdrant_chain_set_offset(scan, chain, NULL);
	iu_qdrant_chain_ask(scan, chain);
}

/* An answer came, and is being read: the next request may be larger if it weighed little. */
void
iu_qdrant_chain_came(IuScan *scan, IuQdrantChain *chain, bool is_page)
{
	IuQdrantQuestion *question = chain->question;

	chain->pauses = 0;
	if (is_page)
		iu_scan_page_came(scan, chain->limit);
	else if (chain->slice.count >= question->ids_at_once)
		question->ids_at_once = iu_scan_next_size(scan, question->ids_at_once, question->ids_most);
}

/* ---- smaller ---- */

/*
 * Asks again for fewer ids at once. Of a slice that has been read in part, what
 * has been read is left out. False if there is only one id.
 */
static bool
ask_for_fewer_ids(IuScan *scan, IuQdrantChain *chain, int most)
{
	IuQdrantQuestion *question = chain->question;

	if (!question->by_id || chain->without_ids || most < 1 || most >= chain->slice.count)
		return false;
	question->ids_at_once = Min(most, question->ids_at_once);
	if (chain->offset != NULL)
	{
		/* points come in the order of their ids, and the page would have begun with this one */
		while (chain->slice.count > 0 && iu_qdrant_id_follows(chain->offset, question->ids[chain->slice.first]))
		{
			chain->slice.first++;
			chain->slice.count--;
		}
		chain->slice.count = 0;
		iu_qdrant_chain_ask_more_ids(scan, chain);
	}
	else
		iu_qdrant_chain_ask(scan, chain);
	return true;
}

/*
 * Fails for the row that is too large: the only one of the request. Where its
 * id is not known, asks for it first.
 */
static void
fail_for_row(IuScan *scan, IuQdrantChain *chain, bool is_page)
{
	const IuQdrantQuestion *question = chain->question;
	IuQdrantQuestion name = *question;
	const char *id = is_page ? chain->offset : question->ids[chain->slice.first];

	if (id != NULL)
	{
		iu_scan_fail_for_weight(scan, chain->collection, iu_qdrant_id_of_json(id));
		return;
	}
	name.with_payload = "false";
	name.with_vector = false;
	submit_request(scan, chain, IU_QDRANT_NAME, "/points/scroll",
				   iu_qdrant_scroll_body(&name, question->by_id && !chain->without_ids ? &chain->slice : NULL,
										 NULL, 1));
}

/*
 * Asks for less where an answer, or a request, was too large. False if it
 * cannot be less.
 */
bool
iu_qdrant_chain_too_large(IuScan *scan, const IuFetch *fetch, bool request)
{
	IuQdrantChain *chain = fetch->state;
	bool		is_page = fetch->purpose == IU_QDRANT_SCROLL;

	if (!is_page && fetch->purpose != IU_QDRANT_FETCH)
		return false;
	if (request)
	{
		chain->question->ids_most = Max(chain->slice.count / 2, 1);
		return ask_for_fewer_ids(scan, chain, chain->slice.count / 2);
	}
	if (is_page && iu_scan_lighten_page(scan, chain->limit))
		iu_qdrant_chain_ask(scan, chain);
	else if (is_page || !ask_for_fewer_ids(scan, chain, chain->slice.count / 2))
		fail_for_row(scan, chain, is_page);
	return true;
}

/* ---- limits that Qdrant sets ---- */

/* Reads all that pass the filter, where it and the ids are more conditions than are allowed together. */
static bool
ask_without_ids(IuScan *scan, IuQdrantChain *chain)
{
	if (!chain->question->by_id || chain->without_ids || chain->slice.first > 0 || chain->offset != NULL)
		return false;
	chain->without_ids = true;
	iu_qdrant_chain_ask(scan, chain);
	return true;
}

/*
 * Asks again after a rate limit that counts ids: for fewer, where the request is
 * more than it ever allows; and once they are so few, after the time that Qdrant
 * names, as together they take longer than it allows at once.
 */
static bool
ask_within_rate(IuScan *scan, IuQdrantChain *chain, const char *text)
{
	const char *after = strstr(text, "Retry after ");
	int			seconds;

	if (strstr(text, "larger than rate limiter capacity") != NULL)
	{
		chain->is_rated = true;
		chain->question->ids_most = Max(chain->slice.count / 2, 1);
		return ask_for_fewer_ids(scan, chain, chain->slice.count / 2);
	}
	if (!chain->is_rated || chain->pauses >= MOST_PAUSES || after == NULL ||
		sscanf(after, "Retry after %9d", &seconds) != 1)
		return false;
	chain->pauses++;
	chain->pause_s = Min(Max(seconds, 1), LONGEST_PAUSE_S);
	iu_qdrant_chain_ask(scan, chain);
	return true;
}

/* Asks again for less where a limit of the collection's strict mode says so. text: Qdrant's words. */
static bool
ask_within_limits(IuScan *scan, IuQdrantChain *chain, const char *text)
{
	int			most = iu_qdrant_limit_after(text, "Limit exceeded ");

	if (most > 0 && most < chain->limit && strstr(text, "for \"limit\"") != NULL)
	{
		/* false where the chain of another collection has shrunk it already: all the same */
		(void) iu_scan_shrink_page(scan, most);
		iu_qdrant_chain_ask(scan, chain);
		return true;
	}
	most = iu_qdrant_limit_after(text, "Condition size limit reached (");
	if (most > 0)
	{
		chain->question->ids_most = Min(most, chain->question->ids_most);
		return ask_for_fewer_ids(scan, chain, most);
	}
	return strstr(text, "Filter condition limit reached") != NULL && ask_without_ids(scan, chain);
}

/*
 * Deals with a refusal that is none of what the query asks: asks again, for
 * less, where the collection allows less at once, and leaves a collection out
 * that is gone since it was listed. False for a failure.
 */
bool
iu_qdrant_chain_refused(IuScan *scan, const IuFetch *fetch, int status, const IuJson *document)
{
	const char *text = iu_json_text(iu_json_member(iu_json_member(document, "status"), "error"));
	IuQdrantChain *chain = fetch->state;

	if (fetch->purpose == IU_QDRANT_RESOLVE && (status == 403 || status == 404))
	{
		iu_qdrant_chain_resolved(scan, chain, NULL);
		return true;
	}
	if (fetch->purpose == IU_QDRANT_LIST || fetch->purpose == IU_QDRANT_RESOLVE || text == NULL)
		return false;
	/* of what has been read in part, the first pages are not the whole */
	if (iu_qdrant_is_gone(scan, status, text))
		return chain->offset == NULL && chain->slice.first == 0;
	if (fetch->purpose == IU_QDRANT_NAME || fetch->purpose == IU_QDRANT_SHARDS)
		return false;
	if (iu_qdrant_fewer_seconds(scan, status, text))
	{
		iu_qdrant_chain_ask(scan, chain);
		return true;
	}
	if (fetch->purpose == IU_QDRANT_COUNT)
		return false;
	return (status == 429 && ask_within_rate(scan, chain, text)) ||
		(status == 400 && ask_within_limits(scan, chain, text));
}
