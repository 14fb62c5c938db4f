#!/usr/bin/env python3
"""An independent reader of Bowerbird directories, written from FORMAT.md.

    python3 bowerbird.py DIR

prints everything that a reader of the database would see as one JSON document. Every checksum is
checked. Exit code 2 and a message mean that a file is damaged. Needs Python 3.11 and numpy. Numbers
in the comments are chapters of FORMAT.md.
"""

import json
import re
import struct
import sys
from pathlib import Path

import numpy as np

class Damage(Exception):
    """A file is not what was written."""

def need(condition, path, what):
    if not condition:
        raise Damage(f"{path}: {what}")

# ---- 1: checksums and the bincode shape
CRC = np.arange(256, dtype=np.uint32)
for _ in range(8):
    CRC = np.where(CRC & 1, (CRC >> 1) ^ np.uint32(0x82F63B78), CRC >> 1)
CRC = CRC.tolist()

def crc32c(data):
    state = 0xFFFFFFFF
    for byte in data:
        state = CRC[(state ^ byte) & 255] ^ (state >> 8)
    return state ^ 0xFFFFFFFF

class Cursor:
    def __init__(self, data, path):
        self.data, self.at, self.path = data, 0, path

    def take(self, n):
        need(n <= len(self.data) - self.at, self.path, "fields end too early")
        self.at += n
        return self.data[self.at - n : self.at]

    def read(self, shape):
        """A value: a number (struct's letter), text, bytes, option, vec, enum, record or tuple."""
        match shape:
            case "text":
                return utf8(self.read("bytes"), self.path)
            case "bytes":
                return self.take(self.read("Q"))
            case "?":
                value = self.read("B")
                need(value < 2, self.path, "a truth value that is neither 0 nor 1")
                return value == 1
            case str():
                return struct.unpack("<" + shape, self.take(struct.calcsize("<" + shape)))[0]
            case ("option", inner):
                return self.read(inner) if self.read("?") else None
            case ("vec", inner):
                count = self.read("Q")  # An element has at least one byte.
                need(count <= len(self.data) - self.at, self.path, "a list that is too long")
                return [self.read(inner) for _ in range(count)]
            case ("enum", *variants):
                number = self.read("I")
                need(number < len(variants), self.path, f"variant {number} of {variants}")
                variant = variants[number]
                return variant if isinstance(variant, str) else (variant[0], self.read(variant[1]))
            case dict():
                return {name: self.read(inner) for name, inner in shape.items()}
            case list():
                return [self.read(inner) for inner in shape]

    def end(self):
        need(self.at == len(self.data), self.path, "bytes after the fields")

def utf8(data, path):
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Damage(f"{path}: a text that is not UTF-8") from error

def decode(data, path, shape):
    cursor = Cursor(data, path)
    value = cursor.read(shape)
    cursor.end()
    return value

# ---- 4, 5, 8: what is in bincode
METRICS, ENCODINGS = ["dot", "cosine", "l2"], ["f32", "f16", "i8", "binary", "u8"]
TYPES = ["bool", "int", "float", "time", "tag", "tags", "text"]
FILE = {"id": "Q", "len": "Q", "nonce": "Q", "footer_crc": "I"}
SPACE = {"id": "H", "name": "text", "dim": "I", "metric": ("enum", *METRICS),
         "encoding": ("enum", *ENCODINGS)}
ATTR = {"id": "H", "name": "text", "type": ("enum", *TYPES)}
PARENTS = ("vec", ["text", "I"])
MANIFEST = {
    "generation": "Q", "flushed": "Q", "synced": "Q", "next_id": "Q",
    "schema": {"keys": ("enum", "id", "name"), "spaces": ("vec", SPACE), "attrs": ("vec", ATTR),
               "events": ("vec", "text"), "next_field": "H"},
    "parts": ("vec", {"segment": FILE, "dead": ("option", FILE), "erasing": "?"}),
    "wals": ("vec", {"id": "Q", "nonce": "Q", "first_lsn": "Q", "sealed": ("option", ["Q", "Q"])}),
    "artifacts": ("vec", {"name": "text", "version": "I", "kind": "text", "format": "H",
                          "active": "?", "parents": PARENTS, "file": FILE}),
}
KEY = ("enum", ("id", "Q"), ("name", "text"))
VALUE = ("enum", ("bool", "?"), ("int", "q"), ("float", "d"), ("time", "q"), ("text", "text"),
         ("tags", ("vec", "text")))
ROW = {"key": KEY, "vectors": ("vec", ["H", "bytes"]), "attrs": ("vec", ["H", VALUE])}
EVENT = ["Q", KEY, "B", "q", "q", ("option", "f"), ("option", "Q"), ("option", "H")]
BATCH = ("vec", ("enum", ("put", ROW), ("delete", KEY), ("event", EVENT), ("erase user", "Q"),
                 ("erase item", KEY)))
LABEL = {"name": "text", "version": "I", "kind": "text", "format": "H", "trained_at": "Q",
         "seed": "Q", "parents": PARENTS, "notes": ("vec", ["text", "text"])}

# ---- 3: the envelope
KINDS, BLOCK = {"manifest": 1, "wal": 2, "segment": 3, "dead": 4, "artifact": 5, "derived": 6}, 64 << 10

def read_header(path, data, kind):
    """The database, the number and the nonce in the first 64 bytes."""
    need(len(data) >= 64, path, "too short for a header")
    magic, found, version, incompat, ro_compat, _, db, number, nonce, zero, crc = struct.unpack(
        "<8sHHIII16sQQII", data[:64])
    need(magic == b"BOWERBRD", path, "magic")
    need(crc32c(data[:60]) == crc, path, "header checksum")
    need(version == 1 and incompat == ro_compat == 0, path, f"format {version} or features: too new")
    need(found == KINDS[kind] and zero == 0, path, f"kind of file {found}, expected {kind}")
    return db, number, nonce

class Sections:
    """The sections of one file, all verified."""

    def __init__(self, path, data, kind, db=None, ref=None):
        self.path, self.sections = path, {}
        self.db, self.id, nonce = read_header(path, data, kind)
        need(len(data) >= 64 + 8 + 32, path, "too short for a footer and a tail")
        tail = len(data) - 32
        at, size, crc, zero, magic = struct.unpack("<QQII8s", data[tail:])
        need(magic == b"BOWEREND" and zero == 0, path, "tail")
        need(at >= 64 and size >= 8 and at + size == tail, path, "place of the footer")
        need(crc32c(data[at:tail]) == crc, path, "footer checksum")
        found = {"id": self.id, "len": len(data), "nonce": nonce, "footer_crc": crc}
        need(ref is None or (self.db, found) == (db, ref), path, "another file is in its place")
        self._read_sections(data, data[at:tail], at)

    def _read_sections(self, data, footer, footer_at):
        count, zero = struct.unpack_from("<II", footer)
        need(zero == 0 and 8 + 32 * count <= len(footer), self.path, "table of sections")
        sums, at = [sum for sum, in struct.iter_unpack("<I", footer[8 + 32 * count :])][::-1], 64
        for line in range(count):
            kind, field, z1, offset, length, z2 = struct.unpack_from("<HHIQQQ", footer, 8 + 32 * line)
            end = offset + -(-length // 64) * 64
            fits = z1 == z2 == 0 and offset == at and end <= footer_at
            need(fits and (kind, field) not in self.sections, self.path, "table of sections")
            for block in range(offset, end, BLOCK):
                found = crc32c(data[block : min(end, block + BLOCK)])
                need(sums and found == sums.pop(), self.path, f"checksum of the block at {block}")
            self.sections[kind, field] = data[offset : offset + length]
            at = end
        need(at == footer_at and not sums, self.path, "bytes that no section accounts for")

    def get(self, kind, field=0):
        need((kind, field) in self.sections, self.path, f"no section {kind} of field {field}")
        return self.sections[kind, field]

    def array(self, kind, dtype, count, field=0):
        """A section that holds exactly so many numbers."""
        data, dtype = self.get(kind, field), np.dtype(dtype)
        need(len(data) == count * dtype.itemsize, self.path, f"length of section {kind}")
        return np.frombuffer(data, dtype)

    def strings(self, starts, content, count, field=0):
        """A list of strings: where each begins, and the bytes of all."""
        starts, content = self.array(starts, "<u8", count + 1, field), self.get(content, field)
        return [utf8(piece, self.path) for piece in self.pieces(content, starts)]

    def pieces(self, content, starts):
        bounds = starts.tolist()
        need(bounds == sorted(bounds) and bounds[-1] <= len(content), self.path, "starts out of order")
        return [content[a:b] for a, b in zip(bounds, bounds[1:])]

# ---- 1: bitmaps in the portable format of Roaring
def read_bitmap(data, limit, path):
    """A bitmap as truth values, one for each of `limit` rows."""
    cursor, rows = Cursor(data, path), np.zeros(limit, bool)
    cookie = cursor.read("I")
    if cookie & 0xFFFF == 12347:
        size = (cookie >> 16) + 1
        flags = np.frombuffer(cursor.take((size + 7) // 8), np.uint8)
        runs = np.unpackbits(flags, bitorder="little")[:size]
    else:
        size = cursor.read("I")
        need(cookie == 12346 and size <= 65536, path, "head of a bitmap")
        runs = [0] * size
    heads = np.frombuffer(cursor.take(4 * size), "<u2").reshape(-1, 2).astype(np.int64)
    if cookie == 12346 or size >= 4:
        cursor.take(4 * size)  # Where each container begins; reading in order needs none of it.
    for run, (key, less) in zip(runs, heads):
        if run:
            pairs = np.frombuffer(cursor.take(4 * cursor.read("H")), "<u2").reshape(-1, 2)
            found = [n for a, more in pairs.tolist() for n in range(a, a + more + 1)]
        elif less < 4096:
            found = np.frombuffer(cursor.take(2 * int(less + 1)), "<u2")
        else:
            found = np.frombuffer(cursor.take(8192), np.uint8)
            found = np.unpackbits(found, bitorder="little").nonzero()[0]
        found = np.asarray(found, np.int64) + 65536 * key
        need(found.size == less + 1 and (np.diff(found) > 0).all(), path, "container of a bitmap")
        need(found[-1] < limit, path, "a bitmap with a row that does not exist")
        rows[found] = True
    cursor.end()
    return rows

# ---- 6: vectors and segments
def row_bytes(space):
    dim = space["dim"]
    sizes = {"f32": 4 * dim, "f16": 2 * dim, "i8": dim, "binary": -(-dim // 8), "u8": dim}
    return sizes[space["encoding"]]

def decode_vector(space, row, scale):
    """The numbers that a stored row stands for."""
    match space["encoding"]:
        case "f32":
            return np.frombuffer(row, "<f4").tolist()
        case "f16":
            return np.frombuffer(row, "<f2").tolist()
        case "i8":
            numbers = np.frombuffer(row, np.int8).astype("<f4") * np.float32(scale)
            return np.clip(numbers, np.float32(-1e15), np.float32(1e15)).tolist()
        case "u8":
            return [float(number) for number in row]
        case _:
            bits = np.unpackbits(np.frombuffer(row, np.uint8), bitorder="little")
            return np.where(bits[: space["dim"]], 1.0, -1.0).tolist()

class Segment:
    def __init__(self, file, schema):
        self.file, self.schema, path, meta = file, schema, file.path, file.get(10)
        root = len(meta) - 64
        need(root >= 0, path, "META is too short")
        (_, self.last_seq, _, _, self.rows, self.events, self.users, self.items, key_kind, pointer,
         count, zero) = struct.unpack("<QQqqIIIIIiII", meta[root:])
        at = root + 52 + pointer
        need(zero == 0 and (count == 0 or 0 <= at <= at + 12 * count <= root), path, "META")
        lines = [struct.unpack_from("<HHII", meta, at + 12 * i) for i in range(count)]
        self.fields = {field: (ty, dim, here) for field, ty, dim, here in lines}
        self.named = schema["keys"] == "name"
        need(key_kind == self.named, path, "META: kind of keys")

    def keys(self, ids, starts, content, count):
        file = self.file
        return file.strings(starts, content, count) if self.named else file.array(ids, "<u8", count).tolist()

    def read_items(self, dead):
        """The live items: key, vectors and attributes by name."""
        rows = [(key, {}, {}) for key in self.keys(11, 12, 13, self.rows)]
        for space in self.schema["spaces"]:
            for row, vector in self._read_space(space):
                need(row < self.rows, self.file.path, "VECTOR_ROWS: a row that does not exist")
                rows[row][1][space["name"]] = vector
        for attr in self.schema["attrs"]:
            for row, value in enumerate(self._read_attr(attr)):
                if value is not None:
                    rows[row][2][attr["name"]] = value
        return [row for row, gone in zip(rows, dead) if not gone]

    def _read_space(self, space):
        field, file = space["id"], self.file
        if field not in self.fields:
            return []
        ty, dim, count = self.fields[field]
        same = ENCODINGS[ty : ty + 1] == [space["encoding"]] and dim == space["dim"]
        need(same and count <= self.rows, file.path, "META: a space")
        size, where, scales = row_bytes(space), range(self.rows), [1.0] * count
        data = file.array(14, "u1", size * count, field).tobytes()
        if count < self.rows:
            where = file.array(15, "<u4", count, field).tolist()
        if space["encoding"] == "i8":
            scales = file.array(16, "<f4", count, field)
        stored = (data[size * i : size * (i + 1)] for i in range(count))
        return [(row, decode_vector(space, *one)) for row, *one in zip(where, stored, scales)]

    def _read_attr(self, attr):
        """One value per row, None where it is missing."""
        field, file, rows = attr["id"], self.file, self.rows
        if field not in self.fields:
            return []
        ty, _, count = self.fields[field]
        need(ty == 16 + TYPES.index(attr["type"]), file.path, "META: type of an attribute")
        present = np.ones(rows, bool)
        if count < rows:
            present = read_bitmap(file.get(17, field), rows, file.path)
        need(present.sum() == count, file.path, "PRESENT: count")
        match attr["type"]:
            case "bool":
                values = read_bitmap(file.get(20, field), rows, file.path).tolist()
            case "int" | "time" | "float" as kind:
                values = file.array(18, "<f8" if kind == "float" else "<i8", rows, field).tolist()
            case "text":
                values = file.strings(27, 28, rows, field)
            case "tag":
                terms, codes = self._terms(field, True)
                need(len(codes) == rows, file.path, "length of CODES")
                values = [None if code == 0xFFFFFFFF else terms[code] for code in codes]
            case _:
                terms, codes = self._terms(field, False)
                lists = file.pieces(codes, file.array(22, "<u8", rows + 1, field))
                values = [[terms[code] for code in codes] for codes in lists]
        return [value if here else None for value, here in zip(values, present)]

    def _terms(self, field, none):
        """The terms of a tag or tags attribute, and the codes that refer to them."""
        terms = self.file.strings(23, 24, len(self.file.get(23, field)) // 8 - 1, field)
        codes = self.file.array(21, "<u4", len(self.file.get(21, field)) // 4, field).tolist()
        known = all(code < len(terms) or none and code == 0xFFFFFFFF for code in codes)
        need(known, self.file.path, "CODES: a code without a term")
        return terms, codes

    def read_events(self, dead):
        """The live events: user, item, kind, at, recorded, value, request, position."""
        n, file = self.events, self.file
        if n == 0:
            return []
        users, starts = file.array(30, "<u8", self.users), file.array(31, "<u4", self.users + 1)
        counts = np.diff(starts.astype(np.int64))
        need(starts[0] == 0 and starts[-1] == n and (counts > 0).all(), file.path, "EVENT_STARTS")
        codes, kinds = file.array(32, "<u4", n), file.array(33, "u1", n)
        need((codes < self.items).all(), file.path, "EVENT_ITEMS: an item that does not exist")
        need((kinds < len(self.schema["events"])).all(), file.path, "EVENT_KINDS: an unknown kind")
        items = self.keys(40, 41, 42, self.items)
        columns = [np.repeat(users, counts).tolist(), [items[code] for code in codes], kinds.tolist(),
                   file.array(34, "<i8", n).tolist(), file.array(35, "<i8", n).tolist()]
        flags = file.array(36, "u1", n) if (36, 0) in file.sections else np.zeros(n, np.uint8)
        for bit, kind, dtype in [(1, 37, "<f4"), (2, 38, "<u8"), (4, 39, "<u2")]:
            has = flags & bit != 0
            values = file.array(kind, dtype, n).tolist() if has.any() else [None] * n
            columns.append([value if yes else None for value, yes in zip(values, has)])
        return [event for event, gone in zip(zip(*columns), dead) if not gone]

# ---- 5: the WAL
def record_at(data, at, number, nonce):
    """The record at a byte: kind, lsn, durable_lsn, payload, end; None if no valid one is there."""
    if at + 40 > len(data):
        return None
    magic, length, lsn, durable, kind, zeros, crc, zero = struct.unpack_from("<IIQQB7sII", data, at)
    end = at + 40 + -(-length // 8) * 8
    if magic != 0x4C574242 ^ (nonce & 0xFFFFFFFF) or length > 256 << 20 or end > len(data):
        return None
    payload, padding = data[at + 40 : at + 40 + length], data[at + 40 + length : end]
    place = struct.pack("<QQQ", nonce, number, at)
    if any(padding) or any(zeros) or zero or crc32c(place + data[at : at + 32] + payload) != crc:
        return None
    return (kind, lsn, durable, payload, end) if kind == 1 or kind == 2 and length == 0 else None

def read_wal(path, data, db, entry, synced):
    """The batches of one WAL, after the torn-tail rule."""
    number, nonce, lsn, sealed = entry["id"], entry["nonce"], entry["first_lsn"], entry["sealed"]
    need(len(data) >= 128, path, "too short for a header")
    need(read_header(path, data, "wal") == (db, number, nonce), path, "another file is in its place")
    first, zeros, crc = struct.unpack("<Q52sI", data[64:128])
    need(first == lsn and not any(zeros) and crc32c(data[:124]) == crc, path, "header")
    data = data[: sealed[0]] if sealed else data
    at, batches = 128, []
    while record := record_at(data, at, number, nonce):
        kind, found, _, payload, end = record
        need(found == (lsn if kind == 1 else lsn - 1), path, f"number of the record at {at}")
        if kind == 1:
            batches.append(payload)
            lsn += 1
        at = end
    if sealed:
        need([at, lsn - 1] == sealed, path, f"commit {lsn} is missing from a finished WAL")
        return batches
    need(synced < lsn, path, f"commit {lsn} was durable and is damaged")
    while at + 40 <= len(data):
        record = record_at(data, at, number, nonce)
        need(not record or record[2] < lsn, path, f"commit {lsn} was durable and is damaged")
        at = record[4] if record else at + 8
    return batches

class Database:
    def __init__(self, read):
        """`read` maps a path in the directory to bytes, or to None if there is no such file."""
        self.read = read
        file = Sections("MANIFEST", self.file("MANIFEST"), "manifest")
        self.db, self.manifest = file.db, decode(file.get(1), "MANIFEST", MANIFEST)
        m, self.schema = self.manifest, self.manifest["schema"]
        need(m["generation"] == file.id, "MANIFEST", "generation")
        self.seq, self.items, self.events = m["flushed"], {}, []
        for part in m["parts"]:
            self._read_part(part)
        self._replay(m)
        for entry in m["artifacts"]:
            self._read_artifact(entry)

    def file(self, path):
        data = self.read(path)
        need(data is not None, path, "the file is missing")
        return data

    def _read_part(self, part):
        ref, dead = part["segment"], part["dead"]
        path = f"segments/{ref['id']:06}.seg"
        segment = Segment(Sections(path, self.file(path), "segment", self.db, ref), self.schema)
        need(segment.last_seq <= self.seq, path, "META does not fit MANIFEST")
        rows, events = np.zeros(segment.rows, bool), np.zeros(segment.events, bool)
        if dead:
            path = f"segments/{ref['id']:06}.{dead['id']:06}.dead"
            marks = Sections(path, self.file(path), "dead", self.db, dead)
            rows = read_bitmap(marks.get(50), segment.rows, path)
            events = read_bitmap(marks.get(51), segment.events, path)
        for key, vectors, attrs in segment.read_items(rows):
            need(key not in self.items, path, f"item {key!r} is alive twice")
            self.items[key] = (vectors, attrs)
        self.events += segment.read_events(events)
        derived = f"derived/{ref['id']:06}.items"
        if data := self.read(derived):
            Sections(derived, data, "derived")

    def _replay(self, m):
        lsn = m["wals"][0]["first_lsn"] if m["wals"] else 1
        need(lsn <= m["flushed"] + 1, "MANIFEST", "commits that are in no WAL")
        for entry in m["wals"]:
            path, synced = f"wal/{entry['id']:06}.wal", 0 if entry["sealed"] else m["synced"]
            need(entry["first_lsn"] == lsn, path, "number of the first commit")
            for payload in read_wal(path, self.file(path), self.db, entry, synced):
                if lsn > self.seq:
                    for op, what in decode(payload, path, BATCH):
                        self._apply(op, what, path)
                    self.seq = lsn
                lsn += 1
        need(self.seq >= m["synced"], "MANIFEST", f"commits up to {m['synced']} are in no WAL")

    def _apply(self, op, what, path):
        match op:
            case "put":
                vectors, attrs = dict(what["vectors"]), dict(what["attrs"])
                spaces = [s for s in self.schema["spaces"] if s["id"] in vectors]
                names = [(a["name"], a["id"]) for a in self.schema["attrs"] if a["id"] in attrs]
                vectors = {s["name"]: self._vector(s, vectors[s["id"]], path) for s in spaces}
                self.items[self._key(what["key"], path)] = (vectors, {n: attrs[i][1] for n, i in names})
            case "delete":
                self.items.pop(self._key(what, path), None)
            case "event":
                need(what[2] < len(self.schema["events"]), path, "an event of an unknown kind")
                self.events.append((what[0], self._key(what[1], path), *what[2:]))
            case "erase user":
                self.events = [event for event in self.events if event[0] != what]
            case _:
                key = self._key(what, path)
                self.items.pop(key, None)
                self.events = [event for event in self.events if event[1] != key]

    def _key(self, key, path):
        need(key[0] == self.schema["keys"], path, "a key of the wrong kind")
        return key[1]

    def _vector(self, space, stored, path):
        size, i8 = row_bytes(space), space["encoding"] == "i8"
        need(len(stored) == size + 4 * i8, path, "length of a vector")
        return decode_vector(space, stored[:size], struct.unpack("<f", stored[size:])[0] if i8 else 1.0)

    def _read_artifact(self, entry):
        need(re.fullmatch("[a-z0-9_-]+", entry["name"]), "MANIFEST", "name of an artifact")
        path = f"artifacts/{entry['name']}@{entry['version']}.{entry['file']['id']:06}.art"
        file = Sections(path, self.file(path), "artifact", self.db, entry["file"])
        label = decode(file.get(60), path, LABEL)
        need(entry == entry | {k: label[k] for k in entry.keys() & label.keys()}, path, "label")
        entry.update(label)

    def document(self):
        """Everything that a reader sees. Floats of 64 bits are texts, so that no digit is lost."""
        types = {attr["name"]: attr["type"] for attr in self.schema["attrs"]}
        order = str.encode if self.schema["keys"] == "name" else int
        items, names = [], ("user", "item", "kind", "at", "recorded", "value", "request", "position")
        for key, (vectors, attrs) in sorted(self.items.items(), key=lambda item: order(item[0])):
            attrs = {n: {types[n]: repr(v) if types[n] == "float" else v} for n, v in attrs.items()}
            items.append({"key": key, "vectors": vectors, "attrs": attrs})
        events = sorted(self.events, key=lambda event: (event[0], event[3], event[4]))
        shown = ("name", "version", "kind", "active", "parents", "trained_at", "seed", "notes")
        artifacts = [{name: a[name] for name in shown} for a in self.manifest["artifacts"]]
        schema = {name: self.schema[name] for name in ("keys", "spaces", "attrs", "events")}
        return {"seq": self.seq, "schema": schema, "items": items,
                "events": [dict(zip(names, event)) for event in events], "artifacts": artifacts}

def files_of(directory):
    return lambda path: file.read_bytes() if (file := Path(directory, path)).exists() else None

def main(arguments):
    if len(arguments) != 1:
        sys.exit("usage: bowerbird.py DIR")
    try:
        print(json.dumps(Database(files_of(arguments[0])).document()))
    except Damage as damage:
        print(f"damaged: {damage}", file=sys.stderr)
        sys.exit(2)

if __name__ == "__main__":
    main(sys.argv[1:])
