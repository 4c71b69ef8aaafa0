-- The vocabulary of refusals. Every error that a function or a rollback of the
-- migrations raises on purpose carries a constraint name, the field of an error
-- that drivers hand to programs; here is what each name means. A migration adds
-- the names that it brings, and its rollback deletes them. What 001 and the
-- library refuse is listed here, because 001 comes before this table. The library
-- gives its errors these names where nothing is migrated as well.

CREATE TABLE public.iu_refusal (
  constraint_name text NOT NULL,
  migration       integer NOT NULL,
  sqlstate        text NOT NULL,
  sentence        text NOT NULL,
  next_action     text NOT NULL,
  CONSTRAINT iu_refusal_pkey PRIMARY KEY (constraint_name),
  CONSTRAINT iu_refusal_name CHECK (constraint_name ~ '^iu_[a-z0-9_]{1,58}$'),
  CONSTRAINT iu_refusal_migration CHECK (migration > 0),
  CONSTRAINT iu_refusal_sqlstate CHECK (sqlstate ~ '^[0-9A-Z]{5}$'),
  CONSTRAINT iu_refusal_sentence CHECK (sentence ~ '^[^[:cntrl:]]+[.]$'),
  CONSTRAINT iu_refusal_next_action CHECK (next_action ~ '^[^[:cntrl:]]+[.]$')
);
COMMENT ON TABLE public.iu_refusal IS
  'Every refusal that a program can decide by: the constraint name in the error, its SQLSTATE, what is wrong and what '
  'to do. Migrations add theirs. What may become of a delivery is in iu_delivery_code.';
COMMENT ON COLUMN public.iu_refusal.constraint_name IS
  'The constraint name in the error, e.g. iu_actor_and_reason; one for each mistake, and it never changes';
COMMENT ON COLUMN public.iu_refusal.migration IS 'Number of the migration that brought it';
COMMENT ON COLUMN public.iu_refusal.sqlstate IS 'SQLSTATE of the error';
COMMENT ON COLUMN public.iu_refusal.sentence IS
  'What is wrong, as one sentence without figures; those are in the error';
COMMENT ON COLUMN public.iu_refusal.next_action IS 'What the caller does about it';

CREATE FUNCTION iu.fn_iu_refusal_put(p_migration integer, p_refusals text[]) RETURNS void
  LANGUAGE sql
  SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO public.iu_refusal (constraint_name, migration, sqlstate, sentence, next_action)
    SELECT p_refusals[n][1], p_migration, p_refusals[n][2], p_refusals[n][3], p_refusals[n][4]
      FROM generate_subscripts(p_refusals, 1) AS g (n);
END;
COMMENT ON FUNCTION iu.fn_iu_refusal_put IS
  'For migrations: adds the refusals that one brings. Arguments: its number, and a list of (constraint name, SQLSTATE, '
  'sentence, next action). Errors: 23505 a name that is there already, 23514 a name, SQLSTATE or sentence of another '
  'form, 23502 one that is left out.';

GRANT SELECT ON public.iu_refusal TO iu_core_reader;

SELECT iu.fn_iu_refusal_put(1, ARRAY[
  ['iu_actor_and_reason', '23514', 'Who does it, or why, was left out.',
   'Give an actor and a reason, both not empty.'],
  ['iu_migration_owner', '55000', 'A migration made something that does not belong to iu_core_owner.',
   'Run the migration with iu_core.migrate().'],
  ['iu_migration_foreign_object', '42710', 'A migration would change something that no migration made.',
   'Rename or remove it if nothing needs it, then migrate again.'],
  ['iu_rollback_incomplete', '55006', 'Something that the migration made would be left after its rollback.',
   'Correct the rollback script: it removes everything that the migration made.'],
  ['iu_rollback_registered', '55006', 'Later migrations still have registered objects.', 'Roll them back first.'],
  ['iu_governed_row_class', '23514', 'The class is not one whose members are rows of tables.',
   'Use config, event_type or route.'],
  ['iu_governed_row_missing', '42704', 'The row is not in the register of governed objects.',
   'See iu_governed_object for what is registered.'],
  ['iu_conformance', '55000', 'The database differs from what its migrations made.',
   'Read fn_iu_conformance(); fn_iu_conformance_repair() puts grants and trigger states right.'],
  -- What the library itself refuses.
  ['iu_role_required', '42501', 'The caller is in none of the roles that the function is for.',
   'Have a superuser make the caller a member of one of them.'],
  ['iu_governed_object', '42501', 'The object is governed by iu_core, and the caller is no superuser.',
   'Leave it as it is; a rollback removes what a migration made.'],
  ['iu_governed_name', '42939', 'Something of iu_core has that name.', 'Choose another name.'],
  ['iu_governed_type', '42501', 'The cast or operator is for a type of iu_core.',
   'Make it for a type of the platform''s own.'],
  ['iu_governed_role', '42501', 'The role is one of iu_core, and the caller may not make members of it.',
   'Have a superuser do it, or a role that was given it WITH ADMIN OPTION.'],
  ['iu_function_owner', '42501', 'The function belongs to a role that is neither iu_core_owner nor a superuser.',
   'Have a superuser give it back to iu_core_owner.'],
  ['iu_conformance_missing', '55000', 'The function that a run of migrations asks for conformance is missing.',
   'Restore it from a dump, or roll back to nothing and migrate anew.'],
  ['iu_migration_running', '55P03', 'Another run of migrations is in progress.', 'Wait until it has ended.'],
  ['iu_migration_within', '55000', 'A migration would start a run of migrations.',
   'Correct the script: it calls neither iu_core.migrate() nor iu_core.rollback().'],
  ['iu_migration_drifted', '55000', 'The library has another text for a migration than was applied, or none.',
   'Load the library that applied it, or roll back below it and migrate again.'],
  ['iu_migration_unknown', '22023', 'The library carries no migration of that number.',
   'Give one of those that the error lists.'],
  ['iu_migration_beyond', '22023', 'The database is beyond the target.', 'Use iu_core.rollback() to go back to it.'],
  ['iu_migration_flag', '22004', 'An argument that is true or false is NULL.', 'Give true or false.'],
  ['iu_rollback_target', '22004', 'The target of a rollback was left out.',
   'Give the last migration that stays, or 0.'],
  ['iu_rollback_target_unknown', '22023', 'The target of a rollback is not applied.',
   'Give one of those that the error lists, or 0.'],
  ['iu_rollback_rows', '55006', 'Rows of people would be lost.',
   'Take a backup, then call iu_core.rollback() with allow_data_loss => true.'],
  ['iu_database_utf8', '0A000', 'The database has another encoding than UTF8.', 'Use a database with encoding UTF8.'],
  ['iu_owner_superuser', '55000', 'Role iu_core_owner is a superuser.', 'ALTER ROLE iu_core_owner NOSUPERUSER.'],
  ['iu_script_transaction', '0A000', 'A migration script would control the transaction.',
   'Take BEGIN, COMMIT and the like out of the script.'],
  ['iu_script_copy', '0A000', 'A migration script would read from or write to the client.', 'Use INSERT.'],
  ['iu_guard_rows_arguments', '22004', 'iu_core.guard_rows() was called without a table or a condition.',
   'Give both.'],
  ['iu_guard_rows_place', '55000', 'iu_core.guard_rows() was called outside of a rollback script.',
   'Use iu_core.rollback() with dry_run => true to see what would be lost.'],
  ['iu_removal_gate_open', '55006', 'Gates rest on the object, and a gate is true.', 'Close the gate.'],
  ['iu_removal_migrated', '2BP01', 'Gates rest on the object, and migrations are applied.',
   'Roll the migrations back first.'],
  ['iu_gate_parallel', '25000', 'A gate was to be read during a parallel operation.',
   'Do not mark the calling function as PARALLEL SAFE.'],
  ['iu_check_role', '55000', 'The role as which views of invariants are read is missing or holds rights.',
   'Do what the HINT says: the role holds nothing.'],
  ['iu_check_query', '0A000', 'What is to be read with no rights is not one SELECT of one jsonb.',
   'Nothing: only functions of iu_core call it.'],
  ['iu_callable_function', '42501', 'A function to call with the rights of its owner does not fit.',
   'Name a function (uuid, jsonb) that returns one value and belongs to a role that is not a superuser.'],
  ['iu_second_copy', '42710', 'Another copy of the library is loaded.',
   'Remove one of the two files, and restart the server.'],
  ['iu_sha1_available', '0A000', 'The server refuses SHA-1, of which a UUID of version 5 is made.',
   'Use a server whose OpenSSL is not in FIPS mode.']]);

-- What the library refuses of requests, of foreign tables and of what its workers call.
SELECT iu.fn_iu_refusal_put(1, ARRAY[
  -- What the library refuses of calls and settings.
  ['iu_callable_missing', '42883', 'There is no function with that OID.', 'Name a function that exists.'],
  ['iu_callable_null', '22004', 'The function to call was left out.', 'Give one.'],
  ['iu_guard_rows_table', '42P01', 'There is no table with that OID.', 'Name a table that exists.'],
  ['iu_trigger_only', '39P01', 'The function is one for triggers and was called otherwise.',
   'Leave it to its trigger.'],
  ['iu_setting_list', '22023', 'A setting is no list of words.', 'Set it to words with commas between them.'],
  ['iu_extension_incomplete', '42P01', 'A table of the extension itself is missing.',
   'Restore the database from a backup, or create the extension anew.'],
  -- What it refuses to send with iu_core.http_probe() and to sign.
  ['iu_http_method', '22023', 'The HTTP method is not one that is sent.', 'Use one of those that the error lists.'],
  ['iu_http_null', '22004', 'The method of an HTTP request, or one of its headers, is NULL.', 'Give it.'],
  ['iu_http_header', '22023', 'A header of an HTTP request is malformed.',
   'Give it as name, colon and value, without control characters.'],
  ['iu_http_header_reserved', '22023', 'The HTTP header is one that the library sets itself.', 'Leave it out.'],
  ['iu_http_timeout', '22023', 'The timeout of an HTTP request is below 1 ms.', 'Give a larger one, or NULL.'],
  ['iu_webhook_id', '22023', 'The id of a webhook has a character that could be misread.',
   'Use letters, digits, underscores and hyphens.'],
  ['iu_webhook_secret', '22023', 'A secret to sign with is malformed.',
   'Give it as whsec_ and the base64 of 24 to 64 bytes.'],
  ['iu_webhook_secret_missing', '22023', 'There is no secret to sign with.', 'Give at least one.'],
  ['iu_filter_time', '54000', 'The filter of a route takes too long over a payload.',
   'Give the route a filter that looks at fewer values.'],
  -- What it refuses of foreign servers, user mappings and foreign tables.
  ['iu_option_unknown', 'HV00D', 'There is no such option here.', 'Use those that the error lists.'],
  ['iu_option_value', 'HV024', 'The value of an option is not allowed.', 'Give one of the form that the error names.'],
  ['iu_option_missing', 'HV002', 'An option that must be given is missing.', 'Give it.'],
  ['iu_option_resource', 'HV00D', 'The option is not for tables of that resource.', 'Leave it out.'],
  ['iu_option_secrets', 'HV00D', 'The user mapping gives both a secret and a file that holds it.',
   'Give one of the two.'],
  ['iu_option_file', '42501', 'The caller may not name a file of the server.',
   'Have a superuser or a member of pg_read_server_files do it.'],
  ['iu_server_url_owner', '42501',
   'The server has user mappings whose secrets the caller may not see, and they would go to the new url.',
   'Have a superuser change the url, or drop those user mappings first.'],
  ['iu_server_url_changed', '55000', 'The url of the foreign server has changed since the query began.',
   'Run the query again.'],
  ['iu_secret_file', '58P01', 'The file that should hold the secret cannot be read.',
   'Put a regular file there that the server process may read.'],
  ['iu_secret_unusable', 'HV024', 'The user mapping, or the file that it names, holds no usable secret.',
   'Put the secret there, in printable ASCII without spaces.'],
  ['iu_import_schema', 'HV00Q', 'The remote has no schema of that name to import.', 'Use schema api or data.'],
  ['iu_foreign_column', 'HV007', 'A column of the foreign table is none that its resource has.',
   'Use those that the error lists, or give table option collection.'],
  ['iu_foreign_column_type', 'HV004', 'A column of the foreign table has another type than its resource says.',
   'Give it the type that the error names.'],
  ['iu_foreign_filter', '0A000', 'The filter column is compared in a way that the remote cannot be asked by.',
   'Compare it with one value by =.'],
  ['iu_foreign_value', 'HV004', 'A column cannot hold what the remote has.',
   'Give it a type that can; jsonb holds everything.'],
  ['iu_foreign_count', '22003', 'A count is beyond bigint.', 'Count fewer collections at a time.'],
  -- Why a remote could not be asked, or did not do what it was asked.
  ['iu_remote_origin', 'HV00L', 'The origin of the url is not allowed.',
   'Have a superuser add it to iu_core.allowed_origins.'],
  ['iu_remote_network', 'HV00L', 'The address of the remote is not allowed.',
   'Have a superuser add its network to iu_core.allowed_networks.'],
  ['iu_remote_dns', 'HV00N', 'The host name of the remote did not resolve.',
   'Check the url of the foreign server, and name resolution on the host of the database.'],
  ['iu_remote_connect', 'HV00N', 'There was no connection to the remote.',
   'Check that the remote runs, and the url of the foreign server.'],
  ['iu_remote_tls', 'HV00N', 'TLS with the remote failed.', 'Check the certificate of the remote and who issued it.'],
  ['iu_remote_timeout', 'HV00N', 'The remote gave no complete answer in time.',
   'Try again, or raise option timeout_ms and iu_core.request_timeout.'],
  ['iu_remote_connection_lost', 'HV00N', 'The connection was lost before the answer was complete.', 'Try again.'],
  ['iu_remote_unavailable', 'HV00N', 'The remote is not available, or a proxy could not reach it.',
   'Try again later.'],
  ['iu_remote_answer_too_large', '54000', 'The answer is too large.',
   'Raise iu_core.max_response_size if it is right.'],
  ['iu_remote_request_too_large', '54000', 'The request is too large, here or for the remote.',
   'Ask for less at once.'],
  ['iu_remote_protocol', 'HV000', 'What answered does not speak HTTP.',
   'Check scheme and port in the url of the foreign server.'],
  ['iu_remote_redirect', 'HV000', 'The remote redirects, and redirects are not followed.',
   'Give the final address as the url of the foreign server.'],
  ['iu_remote_answer', 'HV000', 'The answer is not one that the API of the remote gives.',
   'Check that the url of the foreign server leads to the API itself.'],
  ['iu_remote_address', 'HV000', 'The remote does not know the address.',
   'Check that the url of the foreign server leads to the API itself.'],
  ['iu_remote_credentials', '28000', 'The remote refused the credentials.', 'Check the secret of the user mapping.'],
  ['iu_remote_forbidden', '42501', 'The remote does not let the secret of the user mapping read it.',
   'Use a secret that may, or check the name.'],
  ['iu_remote_partial', '42501', 'The token sees only a part of the collection.',
   'Use a token that sees all of it, or accept the part by option partial.'],
  ['iu_remote_access_unclear', 'HV000', 'It could not be found out whether the token sees all of the collection.',
   'Try again, or accept what it sees by option partial.'],
  ['iu_remote_collection_name', '42602', 'The remote can have no collection of that name.',
   'Give the name of one that it has.'],
  ['iu_remote_collection_missing', 'HV00R', 'The remote has no such collection.', 'Give the name of one that it has.'],
  ['iu_remote_filter', '22023', 'The filter is none that the remote takes.',
   'Give the filter as the remote documents it.'],
  ['iu_remote_query', 'HV000', 'The remote did not accept what it was asked.',
   'Read the words of the remote in the error.'],
  ['iu_remote_rate_limit', '53400', 'The rate limit of the remote is reached.',
   'Try again after the time that the error names.'],
  ['iu_remote_gave_up', 'HV000', 'The remote gave up for lack of time.', 'Try again when it is less busy.'],
  ['iu_remote_changed', 'HV000', 'The collection changed while it was read.', 'Try again.'],
  ['iu_remote_failed', 'HV000', 'The remote could not do it.', 'Look into the log of the remote.'],
  -- What a worker refuses of the functions of the migrations; its log and iu_core.worker_status show it.
  ['iu_worker_function', '42883', 'A function that a worker calls is gone.',
   'Apply the migrations, or repair what conformance finds.'],
  ['iu_worker_result', '42804', 'A function that a worker calls returned another type.',
   'Load the library that applied the migrations, or migrate.'],
  ['iu_worker_result_null', '22004', 'A function that a worker calls left out a value.',
   'Report it with the message.'],
  ['iu_worker_outcome', '22023', 'The outcome of a call is none of sent, failed and held.',
   'Report it with the message.'],
  ['iu_worker_body', '22004', 'A delivery has no body.', 'Report it with the message.']]);

SELECT iu.fn_iu_refusal_put(2, ARRAY[
  ['iu_migration_check', '55000', 'A migration did not leave behind what it promises.',
   'Report it with the message; the migration was undone.'],
  ['iu_rollback_order', '55000', 'A later migration stands on the one that is to be rolled back.',
   'Roll the later migration back first.'],
  ['iu_append_only', '42501', 'The table is a ledger: rows are added and never changed.',
   'Add a row that corrects the other one.'],
  ['iu_actor_required', '23514', 'Who does it was left out.', 'Give an actor that is not empty.'],
  ['iu_text_form', '23514', 'A text is too long, or holds characters that nobody sees.',
   'Give it in one line, without control characters, marks of direction and characters without width.'],
  ['iu_change_without_effect', '55000', 'A change of a governed table had not the effect that it should have.',
   'Remove the rule, trigger or policy that the error names, then try again.'],
  ['iu_command_unknown', '23514', 'The command is not in the catalogue.',
   'See v_dot_iu_command_registry for the commands there are.'],
  ['iu_command_logs_itself', '42501', 'The command logs its own runs, and nobody else does.',
   'Call its function; by hand only what dot_iu_command_catalog says is logged by its caller.'],
  ['iu_command_run_category', '23514', 'The category of the run is not in the vocabulary.',
   'Use one of those that the error lists.'],
  ['iu_command_run_run_mode', '23514', 'The mode of the run is not in the vocabulary.',
   'Use one of those that the error lists.'],
  ['iu_command_run_run_status', '23514', 'The status of the run is not in the vocabulary.',
   'Use one of those that the error lists.'],
  ['iu_command_run_mutating', '23514', 'Whether the run could change anything was left out.', 'Give true or false.'],
  ['iu_command_run_params_digest', '23514', 'The digest of the parameters is no MD5 and no SHA-256.',
   'Give the digest in lower-case hex, or NULL; never the parameters themselves.'],
  ['iu_command_run_actor', '23514', 'Who ran the command was left out, or is no text that people may give.',
   'Give an actor in one line, of up to 200 characters.'],
  ['iu_command_run_evidence', '23514', 'The evidence of the run is larger than a megabyte.',
   'Keep it elsewhere, and give its place and its digest.'],
  ['iu_hook_function', '55000', 'The function cannot be called at that point.',
   'Make a function of iu_core_owner in schema iu with the arguments and the result of the point.']]);
