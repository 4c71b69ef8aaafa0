/*-------------------------------------------------------------------------
 *
 * place.c
 *	  Which server and database this is, and since when: the place. What opens a
 *	  gate or sends anything is bound to the place where it was made, and means
 *	  nothing in a copy, nor after a restore.
 *
 * A place is a digest of
 *	 - the system identifier and the oid of the database;
 *	 - the instance: a name that an administrator gives outside of the data
 *	   directory, where no copy takes it along. A name that stands in a file
 *	   inside the data directory does not count, nor in one to which the
 *	   configuration file there leads;
 *	 - the timeline: a recovery that ends begins another;
 *	 - the backup from which the files came: what backup_label said when they
 *	   were first started, since a server that is started from a backup without
 *	   archive recovery stays on its timeline.
 *
 * An opening of a gate is bound to the place. Where no instance is given a copy
 * could not be told from its original, so an opening is bound to the run of the
 * server as well: it ends with a restart.
 *
 * How a timeline began (a standby was promoted, or a backup restored) is told by
 * the signal files that were there when the postmaster loaded the library, and by
 * the reason in the timeline's history. The watchdog writes it into a table
 * (iu.fn_iu_place_begin). PostgreSQL removes the signal files with the end of the
 * recovery, and the server may end before the watchdog has looked: so a file of
 * our own says that these files were last started to recover as a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/timeline.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "core/compat.h"
#include "core/place.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_place);
PG_FUNCTION_INFO_V1(iu_opening_place);
PG_FUNCTION_INFO_V1(iu_place_facts);

#define SETTING "iu_core.instance"
#define STANDBY_MARK "iu_core.standby"	/* in the data directory: its last recovery began as that of a standby */
#define LABEL_LIMIT 8192		/* bytes of a backup_label that are read; it has some 300 */

/* What the postmaster found when it started. Every process inherits it. */
typedef struct Start
{
	bool		loaded;			/* the postmaster has looked */
	char	   *instance;		/* NULL: none is given that counts */
	char	   *given_by;		/* where it is given, in words */
	char	   *ignored;		/* a file inside the data directory that gives one; NULL: none does */
	char	   *label;			/* of the backup from which the files came; NULL: from none, or it is unknown */
	bool		fresh_label;	/* they had not been started before */
	bool		as_standby;		/* there was a standby.signal, now or when its last recovery began */
	bool		as_restore;		/* there was a recovery.signal */
} Start;

static Start start;
static char *instance_setting = NULL;

/* ---------- the instance ---------- */

/*
 * Only a postmaster takes it, when it starts. A session that loads the library by
 * itself may not define a setting of that kind; nothing is open there anyway.
 */
void
iu_place_define_setting(void)
{
	DefineCustomStringVariable(SETTING,
							   "Name of this installation of the platform, given outside of the data directory.",
							   "What is open, approved or armed under one name means nothing under another. "
							   "A value in a configuration file inside the data directory does not count. "
							   "The environment variable " IU_INSTANCE_VARIABLE " gives it where this does not.",
							   &instance_setting, "",
							   process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP,
							   GUC_DISALLOW_IN_AUTO_FILE, NULL, NULL, NULL);
}

/* Whether a file lies in the data directory, wherever symbolic links lead. An unknown place counts as inside. */
static bool
is_inside_data(const char *path)
{
	char		file[PATH_MAX];
	char		data[PATH_MAX];
	size_t		length;

	if (path == NULL || realpath(path, file) == NULL || realpath(DataDir, data) == NULL)
		return true;
	length = strlen(data);
	return strncmp(file, data, length) == 0 && file[length] == '/';
}

/* What the server knows of the setting; NULL: nothing. */
static const struct config_generic *
find_setting(void)
{
	int			count = 0;
	struct config_generic **settings = iu_all_settings(&count);
	int			i;

	for (i = 0; i < count; i++)
		if (strcmp(settings[i]->name, SETTING) == 0)
			return settings[i];
	return NULL;
}

/* A configuration inside leads a copy on the same machine to whatever file it includes. */
static bool
comes_with_copies(const struct config_generic *setting)
{
	return setting->source == PGC_S_FILE &&
		(is_inside_data(setting->sourcefile) || is_inside_data(ConfigFileName));
}

/* Notes the value of the setting where it comes from outside, otherwise that of the environment. */
static void
find_instance(void)
{
	const struct config_generic *setting = find_setting();
	const char *value = getenv(IU_INSTANCE_VARIABLE);

	if (setting != NULL && instance_setting != NULL && instance_setting[0] != '\0')
	{
		if (comes_with_copies(setting))
			start.ignored = pstrdup(setting->sourcefile != NULL ? setting->sourcefile : "a file");
		else if (setting->source == PGC_S_FILE || setting->source == PGC_S_ARGV)
		{
			start.instance = pstrdup(instance_setting);
			start.given_by = setting->source == PGC_S_ARGV ? "the command line" : pstrdup(setting->sourcefile);
			return;
		}
	}
	if (value != NULL && value[0] != '\0')
	{
		start.instance = pstrdup(value);
		start.given_by = "environment variable " IU_INSTANCE_VARIABLE;
	}
}

/* What is to be done about the instance, palloc'd; NULL: it is given as it should be. */
char *
iu_place_instance_trouble(void)
{
	if (start.instance != NULL)
		return NULL;
	if (start.ignored != NULL)
		return psprintf(SETTING " stands in \"%s\", inside the data directory or named by the configuration file "
						"there, where every copy takes it along, so it does not count: give it in the environment of "
						"the service (IU_CORE_INSTANCE); until then gates close with every restart and no standing "
						"approval is renewed",
						start.ignored);
	return SETTING " is not given: gates close with every restart and no standing approval is renewed; give it in the "
		"environment of the service (IU_CORE_INSTANCE) or in a postgresql.conf outside of the data directory";
}

/* ---------- the start of the server ---------- */

static bool
file_exists(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0;
}

/* The content of a file of the data directory, palloc'd; NULL: there is none. */
static char *
read_small_file(const char *path)
{
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	char	   *content;
	size_t		length;

	if (file == NULL)
		return NULL;
	content = palloc(LABEL_LIMIT + 1);
	length = fread(content, 1, LABEL_LIMIT, file);
	content[length] = '\0';
	FreeFile(file);
	return content;
}

/* Makes the mark, durably. Without it all works but for a promotion that nobody sees. */
static void
mark_standby(void)
{
	FILE	   *file = AllocateFile(STANDBY_MARK, PG_BINARY_W);

	if (file == NULL)
	{
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", STANDBY_MARK),
				 errdetail("A promotion is taken for a restore if the server ends right after it.")));
		return;
	}
	FreeFile(file);
	fsync_fname(STANDBY_MARK, false);
	fsync_fname(".", true);
}

/*
 * Whether the last recovery of these files, which may be about to begin, is that
 * of a standby. Any other recovery takes the mark away: it may have come with the
 * backup from which the files are.
 *
 * begins_standby, begins_other: what the files say of a recovery that begins now.
 */
static bool
was_standby(bool begins_standby, bool begins_other)
{
	bool		marked = file_exists(STANDBY_MARK);

	if (begins_standby && !marked)
		mark_standby();
	if (begins_standby || !begins_other)
		return begins_standby || marked;
	if (marked)
		durable_unlink(STANDBY_MARK, FATAL);
	return false;
}

/* Called once, in the postmaster, whose working directory is the data directory. */
void
iu_place_init(void)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	find_instance();
	start.as_standby = file_exists(STANDBY_SIGNAL_FILE);
	start.as_restore = !start.as_standby && file_exists(RECOVERY_SIGNAL_FILE);
	start.label = read_small_file(BACKUP_LABEL_FILE);
	start.fresh_label = start.label != NULL;
	if (start.label == NULL)
		start.label = read_small_file(BACKUP_LABEL_OLD);
	start.as_standby = was_standby(start.as_standby, start.as_restore || start.fresh_label);
	start.loaded = true;
	MemoryContextSwitchTo(caller);
}

/* ---------- the digests ---------- */

/* Appends a text, or that there is none, so that no two texts can pass for one. */
static void
add_text(StringInfo bytes, const char *text)
{
	pq_sendint32(bytes, text == NULL ? -1 : (int32) strlen(text));
	if (text != NULL)
		appendBinaryStringInfo(bytes, text, strlen(text));
}

static void
digest(const StringInfoData *bytes, uint8 *result)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) bytes->data, bytes->len) < 0 ||
		pg_cryptohash_final(context, result, PG_SHA256_DIGEST_LENGTH) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the SHA-256 of the place")));
	pg_cryptohash_free(context);
}

/* What is known in this process; timeline 0: nothing. It changes when a standby is promoted. */
typedef struct Here
{
	TimeLineID	timeline;
	Oid			database;
	pg_uuid_t	place;
	pg_uuid_t	of_openings;
} Here;

static void
digest_into(pg_uuid_t *uuid, StringInfo bytes)
{
	uint8		result[PG_SHA256_DIGEST_LENGTH];

	digest(bytes, result);
	memcpy(uuid->data, result, UUID_LEN);
}

static void
compute(Here *here)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	add_text(&bytes, "iu_core place");
	pq_sendint64(&bytes, GetSystemIdentifier());
	pq_sendint32(&bytes, here->database);
	pq_sendint32(&bytes, here->timeline);
	add_text(&bytes, start.instance);
	add_text(&bytes, start.label);
	digest_into(&here->place, &bytes);
	here->of_openings = here->place;
	if (start.instance == NULL)
	{
		pq_sendint64(&bytes, PgStartTime);
		digest_into(&here->of_openings, &bytes);
	}
	pfree(bytes.data);
}

/* This place; NULL while the server recovers, and where the library was not preloaded. */
static const Here *
find_here(void)
{
	static Here known;
	Here		here = {0};

	if (!start.loaded || RecoveryInProgress())
		return NULL;
	here.timeline = GetWALInsertionTimeLine();
	here.database = MyDatabaseId;
	if (known.timeline != here.timeline || known.database != here.database)
	{
		compute(&here);
		known = here;
	}
	return &known;
}

/* Where an opening is made that is effective here and now; NULL while the server recovers. */
const pg_uuid_t *
iu_place_of_openings(void)
{
	const Here *here = find_here();

	return here == NULL ? NULL : &here->of_openings;
}

static Datum
copy_uuid(const pg_uuid_t *uuid)
{
	pg_uuid_t  *copy = palloc(sizeof(pg_uuid_t));

	*copy = *uuid;
	return UUIDPGetDatum(copy);
}

/* iu_core.place() */
Datum
iu_place(PG_FUNCTION_ARGS)
{
	const Here *here = find_here();

	if (here == NULL)
		PG_RETURN_NULL();
	return copy_uuid(&here->place);
}

/* iu_core.opening_place() */
Datum
iu_opening_place(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *place = iu_place_of_openings();

	if (place == NULL)
		PG_RETURN_NULL();
	return copy_uuid(place);
}

/* ---------- how it began ---------- */

/* The last line of a timeline's history: from which timeline, where, and why it began. */
typedef struct Beginning
{
	TimeLineID	parent;			/* 0: unknown, or the first timeline */
	char	   *where;
	char	   *reason;
} Beginning;

static Beginning
read_beginning(TimeLineID timeline)
{
	Beginning	beginning = {0};
	char		path[MAXPGPATH];
	char		line[MAXPGPATH];
	FILE	   *file;

	TLHistoryFilePath(path, timeline);
	file = AllocateFile(path, "r");
	if (file == NULL)
		return beginning;
	while (fgets(line, sizeof(line), file) != NULL)
	{
		unsigned int parent;
		unsigned int high;
		unsigned int low;
		int			length = 0;

		if (sscanf(line, "%u\t%X/%X\t%n", &parent, &high, &low, &length) < 3)
			continue;
		line[strcspn(line, "\n")] = '\0';
		beginning.parent = parent;
		beginning.where = psprintf("%X/%X", high, low);
		beginning.reason = length > 0 ? pstrdup(line + length) : "";
	}
	FreeFile(file);
	return beginning;
}

/*
 * How this place may have begun, in one word. A promotion is told where the last
 * recovery began as that of a standby, and no target stopped it.
 */
static const char *
how_it_began(const Beginning *beginning)
{
	if (start.as_standby && beginning->reason != NULL &&
		strcmp(beginning->reason, "no recovery target specified") == 0)
		return "promotion";
	if (start.as_restore || start.fresh_label)
		return "restore";
	return "unknown";
}

static void
set_text(Datum *value, bool *null, const char *text)
{
	*null = text == NULL;
	if (text != NULL)
		*value = CStringGetTextDatum(text);
}

/* iu_core.place_facts(): what the place is made of, and how it may have begun. */
Datum
iu_place_facts(PG_FUNCTION_ARGS)
{
	const Here *here = find_here();
	Beginning	beginning = {0};
	TupleDesc	row;
	Datum		values[11] = {0};
	bool		nulls[11] = {false};
	char		hex[PG_SHA256_DIGEST_LENGTH * 2 + 1];

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (here != NULL)
		beginning = read_beginning(here->timeline);
	if (start.instance != NULL)
	{
		StringInfoData bytes;
		uint8		result[PG_SHA256_DIGEST_LENGTH];

		initStringInfo(&bytes);
		add_text(&bytes, "iu_core instance");
		add_text(&bytes, start.instance);
		digest(&bytes, result);
		hex[hex_encode((const char *) result, sizeof(result), hex)] = '\0';
	}
	nulls[0] = here == NULL;
	if (here != NULL)
		values[0] = copy_uuid(&here->place);
	set_text(&values[1], &nulls[1], start.instance != NULL ? hex : NULL);
	set_text(&values[2], &nulls[2], start.given_by);
	set_text(&values[3], &nulls[3], iu_place_instance_trouble());
	values[4] = Int64GetDatum((int64) GetSystemIdentifier());
	values[5] = ObjectIdGetDatum(MyDatabaseId);
	values[6] = Int32GetDatum(here == NULL ? 0 : (int32) here->timeline);
	nulls[6] = here == NULL;
	set_text(&values[7], &nulls[7], how_it_began(&beginning));
	values[8] = Int32GetDatum((int32) beginning.parent);
	nulls[8] = beginning.parent == 0;
	set_text(&values[9], &nulls[9], beginning.where);
	set_text(&values[10], &nulls[10], beginning.reason);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}
