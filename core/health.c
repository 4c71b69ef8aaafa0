/*-------------------------------------------------------------------------
 *
 * health.c
 *	  iu_core.health() and iu_core.findings(), for monitoring and for people, and
 *	  what makes a watchdog overdue.
 *
 * A process that is stopped or stuck cannot say so. So the reader judges by
 * what it finds in shared memory: what the watchdog meant to do by when, and
 * since when it has been woken without beginning a pass. No table is read and no
 * lock of the database waited for, so that an answer comes whatever is locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/health.h"
#include "core/place.h"
#include "core/roles.h"
#include "core/text.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(iu_health);
PG_FUNCTION_INFO_V1(iu_findings);

#define CLOSE_GRACE_MS 1000		/* a close takes milliseconds */
#define ANSWER_GRACE_MS 2000	/* to look around when woken, and to finish a pass */
#define FAILING_GRACE_MS 5000	/* what fails for longer does not mend itself */
#define START_GRACE_MS 10000
#define LAUNCHER_GRACE_MS 30000
#define SENDER_ANSWER_MS 30000	/* a sender ends a pass, and looks around when woken or when it meant to */
#define SENDER_TICK_MS 120000	/* a sender looks around every minute at least */
#define JUDGE_GRACE_MS 300000	/* a runner judges conformance every minute, between other things */
#define OVERRUN_SHOWN_MS 600000 /* since a call that did not end */

/* The exit codes of monitoring plugins. */
typedef enum Severity
{
	SEVERITY_OK,
	SEVERITY_WARNING,
	SEVERITY_CRITICAL,
	SEVERITY_UNKNOWN
} Severity;

/* What to do about what is found. */
#define CONFORMANCE_ACTION "SELECT * FROM fn_iu_conformance() WHERE NOT ok"
#define UNJUDGED_ACTION "look in iu_core.worker_status what its runner does"
#define PLACE_ACTION "SELECT fn_iu_place_confirm(session_user, 'reason'), if the platform is at home here"
#define OVERRUN_ACTION "mend the function or the check that iu_route_hung or v_iu_invariant names"
#define OVERDUE_ACTION "end the session or the process that it names: pg_terminate_backend(pid)"
#define STILL_ACTION "end its process with pg_terminate_backend(pid): another is started"
#define UNSERVED_ACTION "add the database to iu_core.databases and reload the server"
#define INSTANCE_ACTION "give iu_core.instance outside of the data directory"
#define PARTITION_ACTION "end what has held a lock on iu_route_attempt for days (pg_locks), or mend the table it names"
#define GATE_ACTION "open the gate on an approval that is valid, or close it with fn_iu_gate_close if it is meant"
#define CERTIFICATE_ACTION "have the administrator of the server put another file into iu_core.certificate_directory"

/* What to do about a worker in a state; in the order of IuWorkerState. */
static const char *const state_actions[] = {
	"wait a minute",
	"nothing",
	"mend what its last error says; it goes on trying",
	"mend what its last error says; another is started within a minute",
	"run CREATE EXTENSION iu_core in some database, which makes the role, or name another in iu_core.worker_role",
	"ALTER ROLE ... NOSUPERUSER: workers do not run as a superuser",
	"ALTER ROLE ... LOGIN: the role of the workers needs no password",
	"create the database, or take it out of iu_core.databases",
	"CREATE EXTENSION iu_core",
	"SELECT * FROM iu_core.migrate()",
	"raise max_worker_processes and restart the server"
};

static const char *const severity_names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

/* One thing that is wrong: with what, and what to do about it. */
typedef struct Finding
{
	Severity	severity;
	const char *about;			/* server, worker, place, gate, certificate or conformance */
	const char *database;		/* whose; NULL: the server's */
	char	   *text;
	const char *next_action;
} Finding;

typedef struct Findings
{
	TimestampTz now;
	const char *database;		/* the session's */
	Severity	severity;		/* of the worst */
	List	   *all;			/* of Finding *, the worst first */
	int			processes;
	int			unmigrated;		/* of these, senders and runners that no migration gives anything to do */
	bool		any;			/* some worker is known */
	bool		served;			/* this database has a watchdog, running or not */
} Findings;

/* A time of a slot in words; they last until the next call. */
static const char *
told(TimestampTz steady)
{
	return timestamptz_to_str(iu_wall_of(steady));
}

/* Whether something that was to happen by that time (0: nothing was) is late by more than the grace. */
static bool
is_late(TimestampTz when, TimestampTz now, int grace_ms)
{
	return when != 0 && now > TimestampTzPlusMilliseconds(when, grace_ms);
}

/*
 * Since when a watchdog that has a process is overdue, judged from a copy of its
 * slot; 0: it is not. now: when the copy was made. Sets *why, palloc'd, to what
 * is overdue.
 */
TimestampTz
iu_overdue_since(const IuWorkerSlot *slot, TimestampTz now, char **why)
{
	TimestampTz since;

	if (slot->role != IU_WATCHDOG || slot->pid == 0)
		return 0;
	if (is_late(slot->due_at, now, CLOSE_GRACE_MS))
	{
		*why = psprintf("a gate was to be closed by %s, and is not", told(slot->due_at));
		return slot->due_at;
	}
	if (is_late(slot->woken_at, now, ANSWER_GRACE_MS))
		since = slot->woken_at;
	else if (is_late(slot->busy_since, now, ANSWER_GRACE_MS))
		since = slot->busy_since;
	else if (slot->busy_since == 0 && is_late(slot->next_wakeup, now, ANSWER_GRACE_MS))
		since = slot->next_wakeup;
	else
		return 0;
	*why = psprintf("its process %d has not answered since %s: it is stopped, or stuck",
					(int) slot->pid, told(since));
	return since;
}

/* ---- iu_core.health() ---- */

static void
add_finding(Findings *findings, Finding finding, const char *format,...) pg_attribute_printf(3, 4);

/* Adds what the format says. The worst comes first. */
static void
add_finding(Findings *findings, Finding finding, const char *format,...)
{
	Finding    *added = palloc(sizeof(Finding));
	StringInfoData text;
	va_list		arguments;
	int			needed;

	initStringInfo(&text);
	for (;;)
	{
		va_start(arguments, format);
		needed = appendStringInfoVA(&text, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	*added = finding;
	added->text = text.data;
	if (finding.severity > findings->severity)
		findings->all = lcons(added, findings->all);
	else
		findings->all = lappend(findings->all, added);
	findings->severity = Max(findings->severity, finding.severity);
}

/* What is wrong with a worker, or what it found of its database. */
static Finding
of_slot(Severity severity, const char *about, const IuWorkerSlot *slot, const char *next_action)
{
	Finding		finding = {severity, about, NULL, NULL, next_action};

	if (NameStr(slot->database)[0] != '\0')
		finding.database = pstrdup(iu_text_readable(NameStr(slot->database)));	/* the slot is a copy */
	return finding;
}

static Finding
of_server(Severity severity, const char *next_action)
{
	Finding		finding = {severity, "server", NULL, NULL, next_action};

	return finding;
}

static char *
name_slot(const IuWorkerSlot *slot)
{
	if (slot->role == IU_LAUNCHER)
		return "launcher";
	if (slot->role == IU_WATCHDOG)
		return psprintf("watchdog of database \"%s\"", iu_text_readable(NameStr(slot->database)));
	if (slot->role == IU_RUNNER)
		return psprintf("runner of database \"%s\"", iu_text_readable(NameStr(slot->database)));
	return psprintf("sender %d of database \"%s\"", slot->number, iu_text_readable(NameStr(slot->database)));
}

static Severity
judge_watchdog(const IuWorkerSlot *slot, TimestampTz now)
{
	switch (slot->state)
	{
		case IU_RUNNING:
			return SEVERITY_OK;
		case IU_FAILING:
			return is_late(slot->since, now, FAILING_GRACE_MS) ? SEVERITY_CRITICAL : SEVERITY_WARNING;
		case IU_STARTING:
			return is_late(slot->since, now, START_GRACE_MS) ? SEVERITY_CRITICAL : SEVERITY_WARNING;
		case IU_EXTENSION_ABSENT:
		case IU_NOTHING_MIGRATED:
			return SEVERITY_WARNING;
		default:
			return SEVERITY_CRITICAL;
	}
}

/*
 * Whether a sender or runner that runs stands still. A pass of a sender is short;
 * that of a runner lasts as long as the functions that it calls.
 */
static bool
stands_still(const IuWorkerSlot *slot, TimestampTz now)
{
	if (is_late(slot->last_tick, now, SENDER_TICK_MS))
		return true;
	return slot->role == IU_SENDER &&
		(is_late(slot->woken_at, now, SENDER_ANSWER_MS) || is_late(slot->busy_since, now, SENDER_ANSWER_MS) ||
		 (slot->busy_since == 0 && is_late(slot->next_wakeup, now, SENDER_ANSWER_MS)));
}

/* What keeps all processes of a database from running is reported for its watchdog, not again for its senders. */
static Severity
judge_sender(const IuWorkerSlot *slot, TimestampTz now)
{
	switch (slot->state)
	{
		case IU_RUNNING:
			return stands_still(slot, now) ? SEVERITY_WARNING : SEVERITY_OK;
		case IU_STARTING:
			return is_late(slot->since, now, START_GRACE_MS) ? SEVERITY_WARNING : SEVERITY_OK;
		case IU_FAILING:
		case IU_STOPPED:
		case IU_NO_SLOT:
			return SEVERITY_WARNING;
		default:
			return SEVERITY_OK;
	}
}

static Severity
judge_launcher(const IuWorkerSlot *slot, TimestampTz now)
{
	if (slot->pid == 0)
		return SEVERITY_CRITICAL;
	if (slot->state != IU_RUNNING || is_late(slot->next_wakeup, now, LAUNCHER_GRACE_MS))
		return SEVERITY_WARNING;
	return SEVERITY_OK;
}

/* What the runner of a database found of it. Databases that are not migrated are told of by their watchdogs. */
static void
judge_conformance(Findings *findings, const IuWorkerSlot *slot)
{
	TimestampTz last = Max(slot->judged_at, slot->since);

	if (slot->role != IU_RUNNER)
		return;
	if (slot->differences > 0)
		add_finding(findings, of_slot(SEVERITY_CRITICAL, "conformance", slot, CONFORMANCE_ACTION),
					"database \"%s\": conformance finds %d difference(s) "
					"(SELECT * FROM fn_iu_conformance() WHERE NOT ok), the first: %s",
					iu_text_readable(NameStr(slot->database)), slot->differences,
					iu_text_readable(slot->first_difference));
	else if (slot->state == IU_RUNNING && is_late(last, findings->now, JUDGE_GRACE_MS))
		add_finding(findings, of_slot(SEVERITY_WARNING, "conformance", slot, UNJUDGED_ACTION),
					"database \"%s\": conformance has not been looked at since %s",
					iu_text_readable(NameStr(slot->database)), told(last));
}

static void
add_troubles(Findings *findings, Finding finding, const char *text)
{
	if (text[0] != '\0')
		add_finding(findings, finding, "database \"%s\": %s", finding.database, iu_text_readable(text));
}

/* What watchdog and runner found of where a database is, of its gates, its partitions and its certificates. */
static void
judge_found(Findings *findings, const IuWorkerSlot *slot)
{
	add_troubles(findings, of_slot(SEVERITY_CRITICAL, "place", slot, PLACE_ACTION), slot->place_trouble);
	add_troubles(findings, of_slot(SEVERITY_CRITICAL, "gate", slot, GATE_ACTION), slot->alarm);
	add_troubles(findings, of_slot(SEVERITY_WARNING, "gate", slot, GATE_ACTION), slot->warning);
	add_troubles(findings, of_slot(SEVERITY_CRITICAL, "partition", slot, PARTITION_ACTION), slot->partition_trouble);
	add_troubles(findings, of_slot(SEVERITY_CRITICAL, "certificate", slot, CERTIFICATE_ACTION),
				 slot->certificate_alarm);
	add_troubles(findings, of_slot(SEVERITY_WARNING, "certificate", slot, CERTIFICATE_ACTION),
				 slot->certificate_warning);
}

/* Whatever the process that came after it does: the next call may end it again. */
static void
judge_overrun(Findings *findings, const IuWorkerSlot *slot)
{
	if (slot->overran_at != 0 && !is_late(slot->overran_at, findings->now, OVERRUN_SHOWN_MS))
		add_finding(findings, of_slot(SEVERITY_CRITICAL, "worker", slot, OVERRUN_ACTION),
					"%s: a function or a check did not end by its time, and the process that called it was ended at %s "
					"(SELECT * FROM iu_route_hung; SELECT * FROM v_iu_invariant WHERE verdict = 'unknown')",
					name_slot(slot), timestamptz_to_str(iu_wall_of(slot->overran_at)));
}

/* Adds what is wrong with a worker, if anything is. */
static void
judge_slot(Findings *findings, const IuWorkerSlot *slot)
{
	char	   *why = NULL;
	TimestampTz overdue = iu_overdue_since(slot, findings->now, &why);
	Severity	severity;

	findings->any = true;
	findings->processes += slot->pid != 0 ? 1 : 0;
	if (slot->pid != 0 && (slot->state == IU_NOTHING_MIGRATED || slot->state == IU_EXTENSION_ABSENT))
		findings->unmigrated++;
	if (slot->role == IU_WATCHDOG && strcmp(NameStr(slot->database), findings->database) == 0)
		findings->served = true;
	judge_conformance(findings, slot);
	judge_found(findings, slot);
	judge_overrun(findings, slot);
	if (slot->last_error[0] != '\0')
		why = iu_text_readable(slot->last_error);
	if (overdue != 0)
	{
		add_finding(findings, of_slot(SEVERITY_CRITICAL, "worker", slot, OVERDUE_ACTION),
					"%s: overdue since %s (%s)", name_slot(slot), told(overdue), why);
		return;
	}
	if (slot->role == IU_WATCHDOG)
		severity = judge_watchdog(slot, findings->now);
	else if (slot->role == IU_SENDER || slot->role == IU_RUNNER)
		severity = judge_sender(slot, findings->now);
	else
		severity = judge_launcher(slot, findings->now);
	if (severity == SEVERITY_OK)
		return;
	if (slot->state == IU_RUNNING)
		add_finding(findings, of_slot(severity, "worker", slot, STILL_ACTION),
					"%s: has not looked around since %s", name_slot(slot), told(slot->last_tick));
	else
		add_finding(findings, of_slot(severity, "worker", slot, state_actions[slot->state]),
					why == NULL ? "%s: %s" : "%s: %s (%s)", name_slot(slot),
					iu_worker_state_names[slot->state], why);
}

/* Whoever had rights by a role that was renamed has lost them without a word. */
static void
judge_roles(Findings *findings)
{
	const char *missing = iu_missing_role();

	if (missing != NULL && OidIsValid(get_extension_oid("iu_core", true)))
		add_finding(findings, of_server(SEVERITY_CRITICAL, "give the role its name back"),
					"role \"%s\" does not exist: it was renamed or dropped; give it its name back", missing);
}

static void
judge_all(Findings *findings)
{
	char	   *instance;
	int			i;

	for (i = 0; i < IU_MAX_WORKERS; i++)
	{
		IuWorkerSlot slot;

		if (iu_slot_read(i, &slot))
			judge_slot(findings, &slot);
	}
	judge_roles(findings);
	if (!iu_shared->launcher_registered)
		add_finding(findings, of_server(SEVERITY_CRITICAL, "raise max_worker_processes and restart the server"),
					"the launcher does not run: max_worker_processes is %d, which left no place for it, so that "
					"no gate can be opened and nothing is sent; raise it and restart the server",
					max_worker_processes);
	else if (!findings->any)
		add_finding(findings, of_server(SEVERITY_UNKNOWN, "wait a minute"), "the launcher has not started yet");
	else if (!findings->served)
		add_finding(findings, of_server(SEVERITY_CRITICAL, UNSERVED_ACTION),
					"no watchdog serves database \"%s\": name it in iu_core.databases", findings->database);
	instance = iu_place_instance_trouble();
	if (instance != NULL)
		add_finding(findings, of_server(SEVERITY_WARNING, INSTANCE_ACTION), "%s", instance);
}

/* What health says where all is well. */
static char *
all_is_well(const Findings *findings)
{
	char	   *work = psprintf("%d processes do their work", findings->processes - findings->unmigrated);

	if (RecoveryInProgress())
		return "this server is a standby: the workers start when it is promoted";
	if (findings->unmigrated == 0)
		return work;
	return psprintf("%s, %d more have nothing to do: the migrations that bring it are not applied",
					work, findings->unmigrated);
}

static Findings
look_around(void)
{
	Findings	findings = {0};

	findings.now = iu_now();
	findings.database = get_database_name(MyDatabaseId);
	if (iu_shared == NULL)
		add_finding(&findings, of_server(SEVERITY_CRITICAL, "add iu_core to it and restart the server"),
					"iu_core is not in shared_preload_libraries: no worker runs and every gate reads closed");
	else if (!IsUnderPostmaster)
		add_finding(&findings, of_server(SEVERITY_CRITICAL, "start the server as a service"),
					"the server runs in single-user mode: no worker runs and every gate reads closed");
	else if (!RecoveryInProgress())
		judge_all(&findings);
	return findings;
}

/* iu_core.health(): the severity as a number and as a word, and a message. */
Datum
iu_health(PG_FUNCTION_ARGS)
{
	Findings	findings = look_around();
	StringInfoData message;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};
	ListCell   *cell;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	initStringInfo(&message);
	foreach(cell, findings.all)
		appendStringInfo(&message, "%s%s", message.len > 0 ? "; " : "", ((Finding *) lfirst(cell))->text);
	if (findings.all == NIL)
		appendStringInfoString(&message, all_is_well(&findings));

	values[0] = Int32GetDatum(findings.severity);
	values[1] = CStringGetTextDatum(severity_names[findings.severity]);
	values[2] = CStringGetTextDatum(message.data);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* iu_core.findings(): the same as rows, each with what to do. */
Datum
iu_findings(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Findings	findings;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	findings = look_around();
	foreach(cell, findings.all)
	{
		Finding    *finding = lfirst(cell);
		Datum		values[6] = {0};
		bool		nulls[6] = {false};

		values[0] = Int32GetDatum(finding->severity);
		values[1] = CStringGetTextDatum(severity_names[finding->severity]);
		values[2] = CStringGetTextDatum(finding->about);
		nulls[3] = finding->database == NULL;
		if (finding->database != NULL)
			values[3] = CStringGetTextDatum(finding->database);
		values[4] = CStringGetTextDatum(finding->text);
		values[5] = CStringGetTextDatum(finding->next_action);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
