"""
asyncpg.py PLAN: what asyncpg makes of a plan (tap/t/120_drivers.pl), as JSON.

Reads every relation that the plan names, and calls what it calls, each as its
role, with arguments of the types that the plan gives.
"""
import sys

sys.path.pop(0)  # this file is not the library of its name
import asyncio
import datetime
import decimal
import json
import uuid

import asyncpg

MAKE = {
    "text": str, "uuid": uuid.UUID, "integer": int, "bigint": int, "boolean": bool, "numeric": decimal.Decimal,
    "timestamptz": datetime.datetime.fromisoformat, "interval": lambda s: datetime.timedelta(seconds=s),
    "jsonb": json.dumps, "text[]": list, "uuid[]": lambda ids: [uuid.UUID(i) for i in ids],
}
# asyncpg has infinite times as the first and the last that Python has.
ENDS = (datetime.datetime.min.year, datetime.datetime.max.year)


def odd(value):
    if isinstance(value, list):
        return any(odd(v) for v in value)
    if isinstance(value, datetime.datetime):
        return value.year in ENDS
    if isinstance(value, float):
        return value != value or value in (float("inf"), float("-inf"))
    return isinstance(value, (decimal.Decimal,)) and not value.is_finite() or isinstance(value, asyncpg.Record)


async def read(connection, relation):
    statement = await connection.prepare(f"SELECT * FROM {relation}")
    rows = await statement.fetch()
    names = [a.name for a in statement.get_attributes()]
    return {"rows": len(rows), "columns": len(names), "wrong": [n for n in names if any(odd(row[n]) for row in rows)]}


async def call(server, step):
    arguments = [None if a[1] is None else MAKE[a[0]](a[1]) for a in step["arguments"]]
    connection = await asyncpg.connect(**server, user=step["role"])
    try:
        value = await connection.fetchval(step["sql"], *arguments)
        if isinstance(value, str) and value[:1] in "{[":
            value = json.loads(value)
        return {"value": value if isinstance(value, (dict, list, bool, int)) or value is None else str(value)}
    finally:
        await connection.close()


async def told(answer, *arguments):
    try:
        return await answer(*arguments)
    except asyncpg.PostgresError as error:
        return {"sqlstate": error.sqlstate, "constraint": getattr(error, "constraint_name", None),
                "detail": error.detail, "message": str(error)}
    except Exception as error:
        return {"sqlstate": None, "constraint": None, "detail": None, "message": repr(error)}


async def main():
    plan = json.load(open(sys.argv[1], encoding="utf-8"))
    server = {"host": plan["host"], "port": plan["port"], "database": plan["database"]}
    reader = await asyncpg.connect(**server, user="postgres")
    relations = {relation: await told(read, reader, relation) for relation in plan["relations"]}
    await reader.close()
    calls = [await told(call, server, step) for step in plan["calls"]]
    json.dump({"driver": "asyncpg " + asyncpg.__version__, "relations": relations, "calls": calls}, sys.stdout,
              default=str)


asyncio.run(main())
