-- Texts that people give: the rule for them, and how they are shown.

CREATE FUNCTION text_problem(given text, is_long boolean) RETURNS text
  LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_text_problem';
COMMENT ON FUNCTION text_problem(text, boolean) IS
  'The rule for texts that people give: why this one breaks it, in words, or NULL. It has at most 200 characters, or '
  '2000 where it may be long, at least one that can be seen, and none that breaks the line, has no width or changes '
  'the direction of reading: no control characters, U+2028, U+200B, U+202E and the like. "is missing" for NULL, '
  '"shows nothing" for blanks. Raises nothing.';

CREATE FUNCTION key_problem(given jsonb) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_key_problem';
COMMENT ON FUNCTION key_problem(jsonb) IS
  'Of the first key, at whatever depth, that breaks the rule of text_problem(): the key, as text_shown() has it, and '
  'why; NULL: every key keeps it. A key that looks like another one misleads whoever reads it, and what looks for '
  'that other one does not find it. Raises nothing.';

CREATE FUNCTION text_shown(given text) RETURNS text
  LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_text_shown';
COMMENT ON FUNCTION text_shown(text) IS
  'A text for a message: its first 100 characters as a literal, with <U+202E> for what nobody would see; NULL as the '
  'word. Raises nothing.';

CREATE FUNCTION text_made_fit(given text, is_long boolean) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_text_made_fit';
COMMENT ON FUNCTION text_made_fit(text, boolean) IS
  'A text that the server keeps whatever it is, such as the name of a role: as it is where it keeps the rule of '
  'text_problem(), and otherwise the beginning of it in quotation marks, with <U+202E> for what nobody would see. '
  'NULL for NULL. Raises nothing.';

CREATE FUNCTION markdown_text(given text, begins_line boolean) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_markdown_text';
COMMENT ON FUNCTION markdown_text(text, boolean) IS
  'A text of somebody''s, as it is, in Markdown: within a line, or where a line or an item of a list begins. Nothing '
  'in it is markup, HTML, a link or the end of a cell; line ends become blanks, <U+202E> stands for what nobody would '
  'see, and no more than 2000 characters of it are there. NULL for NULL. Raises nothing.';

CREATE FUNCTION keys_by_group(groups text[], keys text[]) RETURNS jsonb
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_keys_by_group';
COMMENT ON FUNCTION keys_by_group(text[], text[]) IS
  'An object with a list for each group, {group: [key, ...]}: of groups and keys that stand at the same place of both '
  'arrays. A list has each key once, in the order of their bytes. Where either is NULL, the pair is left out; {} of '
  'empty arrays; NULL for NULL. SQLSTATE 2202E, constraint iu_lists_of_one_length, where the arrays differ in length.';

CREATE FUNCTION manifest_digest(orders integer[], units uuid[], roles text[]) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iu_manifest_digest';
COMMENT ON FUNCTION manifest_digest(integer[], uuid[], text[]) IS
  'The digest of an order: MD5 of "<order>:<unit>:<role>" of all pieces in order, with "|" between them. Order, unit '
  'and role of a piece stand at the same place of the three arrays; where one of them is missing or NULL, the piece is '
  'left out. NULL: there are none. Raises nothing.';
