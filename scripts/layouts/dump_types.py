"""Runs inside gdb: `gdb -batch -x dump_types.py PROGRAM`. Prints one JSON object: what generate-layouts.mjs
asked for in the environment variable WANTED, `[{"key": …, "types": [names, first found wins], "path": [field, …]}]`.
An answer is {"type", "typeSize", "offset", "size"}: offset of the last field of the path from the start of the type, bytes.
A path element `~T` is the first part, at any depth, whose type is named T; `@0` is the first tuple field, `#` an enum's tag,
`?name` is passed over where there is no such field.
"""

import json
import os

import gdb


def strip(kind):
    while kind.code == gdb.TYPE_CODE_TYPEDEF:
        kind = kind.target()
    return kind


def parts(kind):
    kind = strip(kind)
    if kind.code not in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        return []
    return [(name(f), f.bitpos // 8, f.type) for f in kind.fields() if hasattr(f, "bitpos") and f.type]


def name(field):
    return "#" if field.artificial else field.name


def find_type(kind, name, depth=0):
    if str(strip(kind)) == name:
        return 0, kind
    if depth < 8:
        for _, offset, inner in parts(kind):
            found = find_type(inner, name, depth + 1)
            if found:
                return offset + found[0], found[1]
    return None


def step(kind, element):
    if element.startswith("~"):
        return find_type(kind, element[1:])
    wanted = "__" + element[1:] if element.startswith("@") else element
    for label, offset, inner in parts(kind):
        if label == wanted:
            return offset, inner
    return None


def answer(question):
    for name in question["types"]:
        try:
            kind = gdb.lookup_type(name)
        except gdb.error:
            continue
        offset, type_size = 0, kind.sizeof
        for element in question["path"]:
            found = step(kind, element.removeprefix("?"))
            if not found and element.startswith("?"):
                continue
            if not found:
                names = [label for label, _, _ in parts(kind)]
                return {"error": f"{kind} has no {element}, but {names}"}
            offset, kind = offset + found[0], found[1]
        return {"type": name, "typeSize": type_size, "offset": offset, "size": kind.sizeof, "fieldType": str(kind)}
    return {"error": "no type " + " or ".join(question["types"])}


gdb.execute("set language rust")
print(json.dumps({q["key"]: answer(q) for q in json.loads(os.environ["WANTED"])}))
