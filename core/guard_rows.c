/*-------------------------------------------------------------------------
 *
 * guard_rows.c
 *	  iu_core.guard_rows(), the guard at the head of a rollback script: rows of
 *	  people are not lost unasked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "core/compat.h"
#include "core/migrate.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(iu_guard_rows);

/* As object_inventory() names it. */
static char *
name_table(Oid table, bool qualified)
{
	char	   *schema = get_namespace_name(get_rel_namespace(table));
	char	   *name = get_rel_name(table);

	if (schema == NULL || name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", table),
				 errdetail("OID: %u.", table),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_guard_rows_table")));
	if (!qualified && strcmp(schema, "public") == 0)
		schema = NULL;
	return quote_qualified_identifier(schema, name);
}

/* Locked against writers first: a row that comes after the count would be lost unseen. */
static int64
count_rows(Oid table, const char *condition)
{
	const char *name = name_table(table, true);
	char		kind = get_rel_relkind(table);
	int64		count;
	bool		is_null;

	SPI_connect();
	if ((kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE) &&
		SPI_execute(psprintf("LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", name), false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "table %s cannot be locked", name);
	if (SPI_execute(psprintf("SELECT pg_catalog.count(*) FROM %s WHERE (%s\n)", name, condition),
					false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "table %s cannot be counted", name);
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	SPI_finish();
	return count;
}

/*
 * iu_core.guard_rows(table, condition): refuses, or reports, rows that the running
 * rollback would lose; returns their number.
 */
Datum
iu_guard_rows(PG_FUNCTION_ARGS)
{
	IuRollback	rollback;
	Oid			table;
	int64		count;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("iu_core.guard_rows() needs a table and a condition"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_guard_rows_arguments")));
	if (!iu_rollback_is_running(&rollback))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("iu_core.guard_rows() is for rollback scripts"),
				 errhint("A rollback shows what it would lose: "
						 "SELECT * FROM iu_core.rollback(0, dry_run => true, allow_data_loss => true);"),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_guard_rows_place")));

	table = PG_GETARG_OID(0);
	count = count_rows(table, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (count > 0 && !rollback.allow_data_loss)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("rollback refused: table %s holds " INT64_FORMAT " row(s) that would be lost",
						name_table(table, false), count),
				 errdetail("Table: %s; rows: " INT64_FORMAT ".", name_table(table, false), count),
				 errhint("Take a backup, then: SELECT * FROM iu_core.rollback(%d, allow_data_loss => true);",
						 rollback.target),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, "iu_rollback_rows")));
	if (count > 0)
		iu_rollback_report_loss(name_table(table, false), count);
	PG_RETURN_INT64(count);
}
