/*-------------------------------------------------------------------------
 *
 * collection_row.c
 *	  A row of resource "collections" of Qdrant until it is handed over: its
 *	  values, and what the description of a collection says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "core/compat.h"
#include "fdw/qdrant/collection_row.h"
#include "fdw/resource.h"
#include "utils/builtins.h"

/* A copy of a value of variable length that outlives the answer it came from. */
Datum
iu_qdrant_row_keep(IuScan *scan, Datum value)
{
	struct varlena *copy = iu_scan_alloc(scan, VARSIZE(DatumGetPointer(value)));

	memcpy(copy, DatumGetPointer(value), VARSIZE(DatumGetPointer(value)));
	return PointerGetDatum(copy);
}

/* Sets a column, to a value that lives as long as the row. */
void
iu_qdrant_row_set(IuQdrantRow *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
set_json_value(IuScan *scan, IuQdrantRow *row, int column, const IuJson *value)
{
	if (value != NULL && iu_scan_wants(scan, column))
		iu_qdrant_row_set(row, column, iu_qdrant_row_keep(scan, iu_json_to_jsonb(value)));
}

/* Sets a column to a text, which is copied; NULL leaves it. */
void
iu_qdrant_row_set_text(IuScan *scan, IuQdrantRow *row, int column, const char *value)
{
	if (value != NULL)
		iu_qdrant_row_set(row, column, iu_qdrant_row_keep(scan, CStringGetTextDatum(value)));
}

/* The parameters of the only vector; NULL if there are several, or none. */
static const IuJson *
only_vector(const IuJson *vectors)
{
	if (iu_json_member(vectors, "size") != NULL && !iu_json_is_object(iu_json_member(vectors, "size")))
		return vectors;
	if (iu_json_members(vectors) == 1)
		return iu_json_member(vectors, iu_json_member_name(vectors, 0));
	return NULL;
}

/* Sets what is queued and deferred. NULL on success, otherwise what is wrong with the description. */
static const char *
set_queue(IuScan *scan, IuQdrantRow *row, const IuJson *result)
{
	const char *problem = iu_qdrant_whole_describe(&row->whole, result);

	row->whole.status = row->whole.status ? iu_scan_strdup(scan, row->whole.status) : NULL;
	if (problem == NULL && row->whole.tells_deferred)
		iu_qdrant_row_set(row, COLLECTIONS_DEFERRED, Int64GetDatum(row->whole.deferred));
	if (problem == NULL && row->whole.tells_queue)
		iu_qdrant_row_set(row, COLLECTIONS_QUEUED, Int64GetDatum(row->whole.queued));
	return problem;
}

/* Reads the description of a collection. NULL on success, otherwise what is wrong with it. */
const char *
iu_qdrant_row_describe(IuScan *scan, IuQdrantRow *row, const IuJson *result)
{
	const IuJson *config = iu_json_member(result, "config");
	const IuJson *vectors = iu_json_member(iu_json_member(config, "params"), "vectors");
	const IuJson *vector = only_vector(vectors);
	const IuJson *approximate = iu_json_member(result, "points_count");
	const char *status = iu_json_text(iu_json_member(result, "status"));
	const char *problem = NULL;
	int64		number;

	if (status == NULL || !iu_json_is_object(config))
		return "the answer holds no description of a collection";
	iu_qdrant_row_set_text(scan, row, COLLECTIONS_STATUS, status);
	set_json_value(scan, row, COLLECTIONS_CONFIGURATION, config);
	set_json_value(scan, row, COLLECTIONS_VECTORS, vectors);
	problem = set_queue(scan, row, result);
	if (problem != NULL)
		return problem;
	if (vector != NULL)
	{
		problem = iu_json_count(iu_json_member(vector, "size"), &number);
		if (problem != NULL || number > PG_INT32_MAX)
			return "the answer holds no size of the vectors";
		iu_qdrant_row_set(row, COLLECTIONS_DIMENSION, Int32GetDatum((int32) number));
		iu_qdrant_row_set_text(scan, row, COLLECTIONS_DISTANCE, iu_json_text(iu_json_member(vector, "distance")));
	}
	if (approximate != NULL && !iu_json_is_null(approximate))
	{
		problem = iu_json_count(approximate, &number);
		if (problem == NULL)
			iu_qdrant_row_set(row, COLLECTIONS_POINTS_APPROX, Int64GetDatum(number));
	}
	return problem;
}
