"""
ask.py
    What Qdrant's own code says of random filters and selections of payloads.

    python3 ask.py SEED FOLDER    FOLDER, which it makes, holds the points meanwhile

To stdout a JSON object: the points' payloads, the indexes, and for each filter the
ids of the points that pass; for each selection the payloads. A seed that is even
has no indexes.
"""

import json
import random
import sys

import qdrant_edge as edge

POINTS, FILTERS, SELECTIONS = 40, 400, 30
seed, folder = int(sys.argv[1]), sys.argv[2]
dice = random.Random(seed)

# ---- what there is

UUID = "550e8400-e29b-41d4-a716-446655440000"
VALUES = [
    None, True, False, 0, 5, 5.0, 5.5, -3, 9, 9.0, 7, 2**53, 2**53 + 1, 2**63, -0.0, 1e300, "5", "", "Berlin", "berlin",
    "The Berlin wall", "wall of Berlin", "London", "x y", "x", "2024-01-01", "2024-01-01T00:00:00",
    "2024-01-01T00:00:00Z", "2024-06-01 12:30", UUID, {"lon": 13.4, "lat": 52.5}, {"lon": 200.0, "lat": 52.5},
    {"a": 5, "b": "x y"}, {}, [],
]  # fmt: skip
TEXTS = [value for value in VALUES if isinstance(value, str)]
NUMBERS = [value for value in VALUES if type(value) is int and abs(value) < 2**63]
WORDS = ["Berlin", "berlin", "Ber", "", "x", "wall Berlin", "BERLIN wall", "x y", "London wall", "unknown", "  "]
KEYS = ["k", "t", "l", "o", "l[].a", "l[].b", "o.a", "l[0]", "k[]", '"t"', "o.b"]
INDEXED = ["k", "t", "l", "o", "l[].a", "l[].b", "o.a", "k[]"]
kind = edge.PayloadSchemaType
INDEXES = {
    "keyword": kind.Keyword, "integer": kind.Integer, "float": kind.Float, "geo": kind.Geo, "text": kind.Text,
    "bool": kind.Bool, "datetime": kind.Datetime, "uuid": kind.Uuid,
    "phrases": edge.TextIndexParams(tokenizer=edge.TokenizerType.Word, phrase_matching=True),
    "blanks": edge.TextIndexParams(tokenizer=edge.TokenizerType.Whitespace, lowercase=False),
}  # fmt: skip


def value(depth=0):
    turn = dice.random()
    if turn < 0.2 and depth < 2:
        return [value(depth + 1) for _ in range(dice.randrange(4))]
    if turn < 0.3 and depth < 2:
        return {key: value(depth + 1) for key in dice.sample("abc", dice.randrange(3))}
    return dice.choice(VALUES)


# ---- filters, as JSON


def match():
    turn = dice.randrange(6)
    if turn == 0:  # no UUID, of which an index of numbers sometimes makes a number
        return {"value": dice.choice([one for one in TEXTS if one != UUID] + NUMBERS)}
    if turn < 3:
        return {("any", "except")[turn - 1]: dice.sample(dice.choice([TEXTS, NUMBERS]), dice.randrange(4))}
    return {("text", "text_any", "phrase")[turn - 3]: dice.choice(WORDS)}


def bounds():
    times = ["2023-01-01", "2024-01-01T00:00:00Z", "2024-06-01", "2025-01-01T00:00:00+02:00"]
    chosen = times if dice.random() < 0.3 else [0, 5, 5.5, 7, 9.0, -1, 2**53, 1e17]
    # of gt and gte an index regards gte only where it is alone, sometimes
    pair = [dice.choice(["gt", "gte"]), dice.choice(["lt", "lte"])]
    return {bound: dice.choice(chosen) for bound in dice.sample(pair, dice.randrange(3))}


def field():
    found = {"key": dice.choice(KEYS)}
    # what two members mean where there are indexes depends on how Qdrant goes about it
    for _ in range(dice.choice([1] * 9 + [2]) if seed % 2 == 0 else 1):
        turn = dice.random()
        if turn < 0.5:
            found["match"] = match()
        elif turn < 0.75:
            found["range"] = bounds()
        elif turn < 0.83:
            found["values_count"] = {dice.choice(["gt", "gte", "lt", "lte"]): dice.randrange(3)}
        elif turn < 0.97:
            found[dice.choice(["is_empty", "is_null"])] = dice.random() < 0.5
        else:
            radius = dice.choice([1000.0, 100000.0])
            found["geo_radius"] = {"center": {"lon": 13.0, "lat": 52.0}, "radius": radius}
    return found


def condition(depth):
    turn = dice.random()
    if turn < 0.65 or depth == 2:
        return field()
    if turn < 0.79:
        return {dice.choice(["is_empty", "is_null"]): {"key": dice.choice(KEYS)}}
    if turn < 0.83:
        return {"has_id": dice.sample(range(1, POINTS + 1), 3)}
    if turn < 0.91:
        return {"nested": {"key": dice.choice(["l", "o", "l[]", "k"]), "filter": condition_filter(depth + 1)}}
    return condition_filter(depth + 1)


def key_of(given):
    asked = given if "key" in given else given.get("is_empty", given.get("is_null", {}))
    return asked.get("key", "").strip('"')


def keys_of(conditions):
    return {key_of(one) for one in conditions}


def condition_filter(depth=0):
    found = {}
    for clause in ["must", "should", "must_not"]:
        if dice.random() < 0.45:
            found[clause] = [condition(depth) for _ in range(dice.randrange(3))]
    if dice.random() < 0.12:
        conditions = [condition(depth) for _ in range(dice.randrange(4))]
        found["min_should"] = {"conditions": conditions, "min_count": dice.randrange(3)}
    # where an index serves a condition that is also in must_not, Qdrant does not look at that again
    if seed % 2 and depth == 0 and keys_of(found.get("must_not", [])) & keys_of(found.get("should", [])):
        del found["must_not"]
    return found


# ---- the same, as Qdrant's code takes them

MATCHES = {
    "value": edge.MatchValue, "any": edge.MatchAny, "except": edge.MatchExcept, "text": edge.MatchText,
    "text_any": edge.MatchTextAny, "phrase": edge.MatchPhrase,
}  # fmt: skip


def edge_range(given):
    if any(isinstance(bound, str) for bound in given.values()):
        return edge.RangeDateTime(**given)
    return edge.RangeFloat(**{name: float(bound) for name, bound in given.items()})


MEMBERS = {
    "match": lambda given: MATCHES[next(iter(given))](next(iter(given.values()))),
    "range": edge_range,
    "values_count": lambda given: edge.ValuesCount(**given),
    "geo_radius": lambda given: edge.GeoRadius(edge.GeoPoint(**given["center"]), given["radius"]),
    "is_empty": bool,
    "is_null": bool,
}


def edge_condition(given):
    if "key" in given:
        members = {name: MEMBERS[name](member) for name, member in given.items() if name != "key"}
        return edge.FieldCondition(given["key"], **members)
    if "is_empty" in given:
        return edge.IsEmptyCondition(given["is_empty"]["key"])
    if "is_null" in given:
        return edge.IsNullCondition(given["is_null"]["key"])
    if "has_id" in given:
        return edge.HasIdCondition(set(given["has_id"]))
    if "nested" in given:
        return edge.NestedCondition(given["nested"]["key"], edge_filter(given["nested"]["filter"]))
    return edge_filter(given)


def edge_filter(given):
    clauses = {name: [edge_condition(one) for one in given[name]] for name in given if name != "min_should"}
    if "min_should" in given:
        least = given["min_should"]
        conditions = [edge_condition(one) for one in least["conditions"]]
        clauses["min_should"] = edge.MinShould(conditions, least["min_count"])
    return edge.Filter(**clauses)


# ---- asking

vectors = edge.EdgeVectorParams(size=1, distance=edge.Distance.Dot)
shard = edge.EdgeShard.create(folder, edge.EdgeConfig(vectors=vectors))
payloads = [{key: value() for key in "ktlo" if dice.random() < 0.8} for _ in range(POINTS)]
points = [edge.Point(number + 1, [1.0], payload) for number, payload in enumerate(payloads)]
shard.update(edge.UpdateOperation.upsert_points(points))
indexes = {key: dice.choice(list(INDEXES)) for key in INDEXED if seed % 2 and dice.random() < 0.7}
for key, name in indexes.items():
    shard.update(edge.UpdateOperation.create_field_index(key, INDEXES[name]))


def passing(given):
    request = edge.ScrollRequest(limit=POINTS, filter=edge_filter(given), with_payload=False)
    found = sorted(record.id for record in shard.scroll(request)[0])
    if shard.count(edge.CountRequest(exact=True, filter=edge_filter(given))) != len(found):
        sys.exit(f"Qdrant's own count is another than that of its points: {json.dumps(given)}")
    return found


def selection():
    keys = dice.sample(KEYS + ["l[1]", "l[].c", "k.a", "l[][]"], dice.randrange(1, 3))
    name = dice.choice(["include", "exclude"])
    selector = edge.PayloadSelector.Include(keys) if name == "include" else edge.PayloadSelector.Exclude(keys)
    records = shard.scroll(edge.ScrollRequest(limit=POINTS, with_payload=selector))[0]
    return {"with": {name: keys}, "payloads": {record.id: record.payload for record in records}}


filters = [condition_filter() for _ in range(FILTERS)]
asked = [{"filter": one, "ids": passing(one)} for one in filters]
selected = [selection() for _ in range(SELECTIONS)]
json.dump({"payloads": payloads, "indexes": indexes, "filters": asked, "selections": selected}, sys.stdout)
