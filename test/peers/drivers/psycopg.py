"""
psycopg.py PLAN: what psycopg 3 makes of a plan (tap/t/120_drivers.pl), as JSON.

Reads every relation that the plan names, and calls what it calls, each as its
role, with arguments of the types that the plan gives.
"""
import sys

sys.path.pop(0)  # this file is not the library of its name
import datetime
import decimal
import json
import re
import uuid

import psycopg
from psycopg.types.json import Jsonb

MAKE = {
    "text": str, "uuid": uuid.UUID, "integer": int, "bigint": int, "boolean": bool, "numeric": decimal.Decimal,
    "timestamptz": datetime.datetime.fromisoformat, "interval": lambda s: datetime.timedelta(seconds=s),
    "jsonb": Jsonb, "text[]": list, "uuid[]": lambda ids: [uuid.UUID(i) for i in ids],
}


def odd(value):
    """Whether a value is one that no program should have to look out for."""
    if isinstance(value, list):
        return any(odd(v) for v in value)
    if isinstance(value, float):
        return value != value or value in (float("inf"), float("-inf"))
    return isinstance(value, decimal.Decimal) and not value.is_finite()


def read(connection, relation):
    with connection.cursor() as cursor:
        rows = cursor.execute(f"SELECT * FROM {relation}").fetchall()
        wrong = [c.name for i, c in enumerate(cursor.description) if any(odd(row[i]) for row in rows)]
        return {"rows": len(rows), "columns": len(cursor.description), "wrong": wrong}


def call(server, step):
    arguments = [None if a[1] is None else MAKE[a[0]](a[1]) for a in step["arguments"]]
    with psycopg.connect(**server, user=step["role"], autocommit=True) as connection:
        value = connection.execute(re.sub(r"\$\d+", "%s", step["sql"]), arguments).fetchone()[0]
        return {"value": value if isinstance(value, (dict, list, bool, int)) or value is None else str(value)}


def told(answer, *arguments):
    try:
        return answer(*arguments)
    except psycopg.Error as error:
        return {"sqlstate": error.diag.sqlstate, "constraint": error.diag.constraint_name,
                "detail": error.diag.message_detail, "message": str(error)}


plan = json.load(open(sys.argv[1], encoding="utf-8"))
server = {"host": plan["host"], "port": plan["port"], "dbname": plan["database"]}
with psycopg.connect(**server, user="postgres", autocommit=True) as reader:
    relations = {relation: told(read, reader, relation) for relation in plan["relations"]}
json.dump({"driver": "psycopg " + psycopg.__version__, "relations": relations,
           "calls": [told(call, server, step) for step in plan["calls"]]}, sys.stdout, default=str)
