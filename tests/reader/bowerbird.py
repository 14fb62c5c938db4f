#!/usr/bin/env python3
"""An independent reader of Bowerbird directories, written from FORMAT.md.

    python3 bowerbird.py DIR

prints everything that a reader of the database would see as one JSON document. Every checksum is
checked. Exit code 2 and a message mean that a file is damaged. Needs Python 3.11 and numpy. Chapter
numbers in comments are those of FORMAT.md.
"""

import json
import os
import re
import struct
import sys

import numpy as np


class Damage(Exception):
    """A file is not what was written."""


def need(condition, path, what):
    if not condition:
        raise Damage(f"{path}: {what}")


# ---- 1: CRC-32C, over whole arrays: bytes are combined in pairs, pairs in fours, and so on.


def _byte_table():
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


def _apply(op, s):
    return op[0][s & 255] ^ op[1][(s >> 8) & 255] ^ op[2][(s >> 16) & 255] ^ op[3][s >> 24]


def _shift_tables():
    """Operator k: what 2**k zero bytes do to the state, as one table per byte of the state."""
    ones = [np.arange(256, dtype=np.uint32) << np.uint32(8 * i) for i in range(4)]
    op = [BYTE[s & 255] ^ (s >> 8) for s in ones]
    ops = [op]
    for _ in range(34):
        op = [_apply(op, table) for table in op]
        ops.append(op)
    return ops


BYTE = _byte_table()
SHIFT = _shift_tables()


def crc32c(data):
    n = len(data)
    if n < 4:
        state = 0xFFFFFFFF
        for byte in data:
            state = int(BYTE[(state ^ byte) & 255]) ^ (state >> 8)
        return state ^ 0xFFFFFFFF
    # Zeros in front change nothing while the state is zero; the usual first state of all ones is
    # the same as the first four bytes inverted.
    size = 1 << (n - 1).bit_length()
    padded = np.zeros(size, np.uint8)
    padded[size - n :] = np.frombuffer(data, np.uint8)
    padded[size - n : size - n + 4] ^= 0xFF
    states, level = BYTE[padded], 0
    while states.size > 1:
        states = _apply(SHIFT[level], states[0::2]) ^ states[1::2]
        level += 1
    return int(states[0]) ^ 0xFFFFFFFF


# ---- 1: the bincode shape


class Cursor:
    def __init__(self, data, path):
        self.data, self.at, self.path = data, 0, path

    def take(self, n):
        need(n <= len(self.data) - self.at, self.path, "fields end too early")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    u8 = lambda self: self.number("B")
    u16 = lambda self: self.number("H")
    u32 = lambda self: self.number("I")
    u64 = lambda self: self.number("Q")
    i64 = lambda self: self.number("q")
    f32 = lambda self: self.number("f")
    f64 = lambda self: self.number("d")

    def blob(self):
        return self.take(self.u64())

    def string(self):
        try:
            return self.blob().decode("utf-8")
        except UnicodeDecodeError as e:
            raise Damage(f"{self.path}: a text that is not UTF-8") from e

    def bit(self):
        value = self.u8()
        need(value < 2, self.path, "a truth value that is neither 0 nor 1")
        return value == 1

    def option(self, read):
        return read() if self.bit() else None

    def vec(self, read):
        count = self.u64()
        # Every element has at least one byte.
        need(count <= len(self.data) - self.at, self.path, "a list that is too long")
        return [read() for _ in range(count)]

    def variant(self, names):
        number = self.u32()
        need(number < len(names), self.path, f"variant {number} of {names}")
        return names[number]

    def end(self):
        need(self.at == len(self.data), self.path, "bytes after the fields")


# ---- 3: the envelope

KINDS = {"manifest": 1, "wal": 2, "segment": 3, "dead": 4, "artifact": 5, "derived": 6}
BLOCK = 64 << 10


def read_header(path, data, kind):
    """The database, the number and the nonce in the first 64 bytes."""
    need(len(data) >= 64, path, "too short for a header")
    magic, found, version, incompat, ro_compat, _compat, db, number, nonce, zero, crc = struct.unpack(
        "<8sHHIII16sQQII", data[:64]
    )
    need(magic == b"BOWERBRD", path, "magic")
    need(crc32c(data[:60]) == crc, path, "header checksum")
    need(version == 1 and incompat == 0, path, f"format {version}, features {incompat:#x}: too new")
    need(ro_compat == 0, path, f"needs features {ro_compat:#x}")
    need(found == KINDS[kind] and zero == 0, path, f"kind of file {found}, expected {kind}")
    return db, number, nonce


class Sections:
    """The sections of one file, all verified."""

    def __init__(self, path, data, kind, db=None, ref=None):
        self.path, self.sections = path, {}
        if ref:
            need(len(data) == ref["len"], path, f"{len(data)} bytes, expected {ref['len']}")
        self.db, self.id, self.nonce = read_header(path, data, kind)
        need(len(data) >= 64 + 8 + 32, path, "too short for a footer and a tail")
        tail = len(data) - 32
        at, size, crc, zero, magic = struct.unpack("<QQII8s", data[tail:])
        need(magic == b"BOWEREND" and zero == 0, path, "tail")
        need(at >= 64 and at + size == tail, path, "place of the footer")
        footer = data[at:tail]
        need(crc32c(footer) == crc, path, "footer checksum")
        self.ref = {"id": self.id, "len": len(data), "nonce": self.nonce, "footer_crc": crc}
        if ref:
            need(self.db == db and self.ref == ref, path, "another file is in its place")
        self._read_sections(data, footer, at)

    def _read_sections(self, data, footer, footer_at):
        path = self.path
        need(len(footer) >= 8, path, "footer")
        count, zero = struct.unpack_from("<II", footer)
        need(zero == 0 and 8 + 32 * count <= len(footer), path, "table of sections")
        sums, at = footer[8 + 32 * count :], 64
        for line in range(count):
            kind, field, zero, offset, length, zero2 = struct.unpack_from(
                "<HHIQQQ", footer, 8 + 32 * line
            )
            end = offset + -(-length // 64) * 64
            fits = zero == zero2 == 0 and offset == at and end <= footer_at
            need(fits and (kind, field) not in self.sections, path, f"section {kind} of {field}")
            for block in range(offset, end, BLOCK):
                need(len(sums) >= 4, path, "too few checksums")
                found = crc32c(data[block : min(end, block + BLOCK)])
                need(found == struct.unpack_from("<I", sums)[0], path, f"checksum at byte {block}")
                sums = sums[4:]
            self.sections[kind, field] = data[offset : offset + length]
            at = end
        need(at == footer_at and not sums, path, "bytes that no section accounts for")

    def get(self, kind, field=0):
        need((kind, field) in self.sections, self.path, f"section {kind} of field {field}: missing")
        return self.sections[kind, field]

    def array(self, kind, dtype, count, field=0):
        data, dtype = self.get(kind, field), np.dtype(dtype)
        need(len(data) == count * dtype.itemsize, self.path, f"length of section {kind}")
        return np.frombuffer(data, dtype)

    def strings(self, starts, content, count, field=0):
        """A list of strings as starts and bytes."""
        starts, content = self.array(starts, "<u8", count + 1, field), self.get(content, field)
        return [self.slice(content, starts, at) for at in range(count)]

    def slice(self, content, starts, at):
        begin, end = int(starts[at]), int(starts[at + 1])
        need(begin <= end <= len(content), self.path, "a string outside its section")
        return content[begin:end]

    def text(self, data):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as e:
            raise Damage(f"{self.path}: a text that is not UTF-8") from e


# ---- 1: bitmaps in the portable format of Roaring


def read_bitmap(data, limit, path):
    """The rows of a bitmap as an array of truth values, one for each of `limit` rows."""
    cursor, rows = Cursor(data, path), np.zeros(limit, bool)
    cookie = cursor.u32()
    if cookie & 0xFFFF == 12347:
        size = (cookie >> 16) + 1
        flags = cursor.take((size + 7) // 8)
        runs = [flags[i // 8] >> (i % 8) & 1 for i in range(size)]
    else:
        need(cookie == 12346, path, "cookie of a bitmap")
        size = cursor.u32()
        need(size <= 65536, path, "containers of a bitmap")
        runs = [0] * size
    heads = np.frombuffer(cursor.take(4 * size), "<u2").reshape(-1, 2).astype(np.int64)
    if cookie == 12346 or size >= 4:
        cursor.take(4 * size)  # Where each container begins; reading in order needs none of it.
    for run, (key, less) in zip(runs, heads):
        if run:
            pairs = np.frombuffer(cursor.take(4 * cursor.u16()), "<u2").reshape(-1, 2)
            spans = [np.arange(a, a + n + 1) for a, n in pairs.astype(np.int64)]
            found = np.concatenate(spans) if spans else np.zeros(0, np.int64)
        elif less + 1 <= 4096:
            found = np.frombuffer(cursor.take(2 * int(less + 1)), "<u2").astype(np.int64)
        else:
            bits = np.frombuffer(cursor.take(8192), np.uint8)
            found = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
        need(found.size == less + 1 and (np.diff(found) > 0).all(), path, "container of a bitmap")
        found = found + key * 65536
        need(found[-1] < limit, path, "a bitmap with a row that does not exist")
        rows[found] = True
    cursor.end()
    return rows


# ---- 4: MANIFEST

METRICS = ["dot", "cosine", "l2"]
ENCODINGS = ["f32", "f16", "i8", "binary"]
TYPES = ["bool", "int", "float", "time", "tag", "tags", "text"]


def read_manifest(data):
    file = Sections("MANIFEST", data, "manifest")
    c = Cursor(file.get(1), "MANIFEST")
    u16, u32, u64 = c.u16, c.u32, c.u64

    def ref():
        return {"id": u64(), "len": u64(), "nonce": u64(), "footer_crc": u32()}

    def space():
        return {"id": u16(), "name": c.string(), "dim": u32(), "metric": c.variant(METRICS),
                "encoding": c.variant(ENCODINGS)}

    def attr():
        return {"id": u16(), "name": c.string(), "type": c.variant(TYPES)}

    def part():
        return {"segment": ref(), "dead": c.option(ref), "erasing": c.bit()}

    def wal():
        return {"id": u64(), "nonce": u64(), "first_lsn": u64(),
                "sealed": c.option(lambda: (u64(), u64()))}

    def artifact():
        return {"name": c.string(), "version": u32(), "kind": c.string(), "format": u16(),
                "active": c.bit(), "parents": c.vec(lambda: [c.string(), u32()]), "file": ref()}

    m = {"generation": u64(), "flushed": u64(), "synced": u64(), "next_id": u64()}
    m["schema"] = {"keys": c.variant(["id", "name"]), "spaces": c.vec(space),
                   "attrs": c.vec(attr), "events": c.vec(c.string)}
    m["next_field"] = u16()
    m["parts"], m["wals"], m["artifacts"] = c.vec(part), c.vec(wal), c.vec(artifact)
    c.end()
    need(m["generation"] == file.id, "MANIFEST", "generation")
    return file.db, m


# ---- 6: vectors and values


def row_bytes(space):
    dim = space["dim"]
    return {"f32": 4 * dim, "f16": 2 * dim, "i8": dim, "binary": -(-dim // 8)}[space["encoding"]]


def decode_vector(space, row, scale):
    """The numbers that a stored row stands for."""
    match space["encoding"]:
        case "f32":
            numbers = np.frombuffer(row, "<f4")
        case "f16":
            numbers = np.frombuffer(row, "<f2").astype("<f4")
        case "i8":
            numbers = np.frombuffer(row, np.int8).astype("<f4") * np.float32(scale)
            numbers = np.clip(numbers, np.float32(-1e15), np.float32(1e15))
        case _:
            bits = np.unpackbits(np.frombuffer(row, np.uint8), bitorder="little")
            numbers = np.where(bits[: space["dim"]], 1.0, -1.0)
    return [float(x) for x in numbers]


def read_value(c):
    match c.variant(["bool", "int", "float", "time", "text", "tags"]):
        case "bool":
            return c.bit()
        case "int" | "time":
            return c.i64()
        case "float":
            return c.f64()
        case "text":
            return c.string()
        case _:
            return c.vec(c.string)


def read_key(c, kind):
    found = c.variant(["id", "name"])
    need(found == kind, c.path, "a key of the wrong kind")
    return c.u64() if found == "id" else c.string()


# ---- 6: segments


class Segment:
    def __init__(self, file, schema):
        self.file, self.schema, self.named = file, schema, schema["keys"] == "name"
        self._read_meta(file.get(10))
        need(self.key_kind == int(self.named), file.path, "META: kind of keys")

    def _read_meta(self, meta):
        path = self.file.path
        need(len(meta) >= 64, path, "META is too short")
        root = len(meta) - 64
        (self.first_seq, self.last_seq, _, _, self.rows, self.events, self.users, self.items,
         self.key_kind, pointer, count, zero) = struct.unpack("<QQqqIIIIIiII", meta[root:])
        at = root + 52 + pointer
        need(zero == 0 and (count == 0 or 0 <= at <= at + 12 * count <= root), path, "META")
        lines = [struct.unpack_from("<HHII", meta, at + 12 * i) for i in range(count)]
        self.fields = {field: (ty, dim, n) for field, ty, dim, n in lines}

    def keys(self, sections, count):
        if not self.named:
            return [int(key) for key in self.file.array(sections[0], "<u8", count)]
        names = self.file.strings(sections[1], sections[2], count)
        return [self.file.text(name) for name in names]

    def read_items(self, dead):
        """The live items: key, vectors and attributes by name."""
        keys = self.keys((11, 12, 13), self.rows)
        rows = [(key, {}, {}) for key in keys]
        for space in self.schema["spaces"]:
            self._read_space(space, rows)
        for attr in self.schema["attrs"]:
            if attr["id"] in self.fields:
                ty, _, count = self.fields[attr["id"]]
                need(ty == 16 + TYPES.index(attr["type"]), self.file.path, "type of an attribute")
                for row, value in enumerate(self._read_attr(attr, count)):
                    if value is not None:
                        rows[row][2][attr["name"]] = value
        return [row for at, row in enumerate(rows) if not dead[at]]

    def _read_space(self, space, rows):
        field, file = space["id"], self.file
        if field not in self.fields:
            return
        ty, dim, count = self.fields[field]
        same = ENCODINGS[ty : ty + 1] == [space["encoding"]] and dim == space["dim"]
        need(same and count <= self.rows, file.path, "META: a space")
        size, data, scales = row_bytes(space), file.get(14, field), np.ones(count, "<f4")
        need(len(data) == size * count, file.path, "length of VECTORS")
        where = range(self.rows)
        if count < self.rows:
            where = file.array(15, "<u4", count, field)
        if space["encoding"] == "i8":
            scales = file.array(16, "<f4", count, field)
        for at in range(count):
            need(where[at] < self.rows, file.path, "VECTOR_ROWS: a row that does not exist")
            vector = decode_vector(space, data[at * size : (at + 1) * size], scales[at])
            rows[where[at]][1][space["name"]] = vector

    def _read_attr(self, attr, count):
        """One value per row, None where it is missing."""
        field, file, rows = attr["id"], self.file, self.rows
        present = np.ones(rows, bool)
        if count < rows:
            present = read_bitmap(file.get(17, field), rows, file.path)
        need(present.sum() == count, file.path, "PRESENT: count")
        match attr["type"]:
            case "bool":
                values = read_bitmap(file.get(20, field), rows, file.path).tolist()
            case "int" | "time":
                values = file.array(18, "<i8", rows, field).tolist()
            case "float":
                values = file.array(18, "<f8", rows, field).tolist()
            case "text":
                values = [file.text(t) for t in file.strings(27, 28, rows, field)]
            case kind:
                values = self._read_tags(field, kind == "tags")
        return [value if here else None for value, here in zip(values, present)]

    def _read_tags(self, field, many):
        file = self.file
        terms = file.strings(23, 24, len(file.get(23, field)) // 8 - 1, field)
        terms = [file.text(term) for term in terms]
        need(terms == sorted(set(terms), key=str.encode), file.path, "terms out of order")
        data = file.get(21, field)
        codes = np.frombuffer(data[: len(data) // 4 * 4], "<u4")
        if not many:
            need(len(codes) == self.rows, file.path, "length of CODES")
            return [None if code == 0xFFFFFFFF else self._term(terms, code) for code in codes]
        starts = file.array(22, "<u8", self.rows + 1, field)
        lists = [self.file.slice(codes, starts, row) for row in range(self.rows)]
        return [[self._term(terms, code) for code in codes] for codes in lists]

    def _term(self, terms, code):
        need(code < len(terms), self.file.path, "a code without a term")
        return terms[code]

    def read_events(self, dead):
        """The live events, as tuples: user, item, kind, at, recorded, value, request, position."""
        n, file = self.events, self.file
        if n == 0:
            return []
        users, starts = file.array(30, "<u8", self.users), file.array(31, "<u4", self.users + 1)
        starts = starts.astype(np.int64)
        whole = starts[0] == 0 and starts[-1] == n and (np.diff(starts) > 0).all()
        need(whole, file.path, "EVENT_STARTS")
        owners, items = np.repeat(users, np.diff(starts)), self.keys((40, 41, 42), self.items)
        codes, kinds = file.array(32, "<u4", n), file.array(33, "u1", n)
        at, recorded = file.array(34, "<i8", n), file.array(35, "<i8", n)
        need((codes < self.items).all(), file.path, "EVENT_ITEMS: an item that does not exist")
        need((kinds < len(self.schema["events"])).all(), file.path, "EVENT_KINDS: unknown")
        extra = []
        flags = file.array(36, "u1", n) if (36, 0) in file.sections else np.zeros(n, np.uint8)
        for bit, kind, dtype in [(1, 37, "<f4"), (2, 38, "<u8"), (4, 39, "<u2")]:
            has = (flags & bit) != 0
            values = file.array(kind, dtype, n).tolist() if has.any() else [None] * n
            extra.append([value if yes else None for value, yes in zip(values, has)])
        columns = [owners.tolist(), [items[code] for code in codes], kinds.tolist(), at.tolist(),
                   recorded.tolist(), *extra]
        return [event for event, gone in zip(zip(*columns), dead) if not gone]


# ---- 5: the WAL


def record_at(data, at, number, nonce):
    """The record at a byte: kind, lsn, durable_lsn, payload, end; None if no valid one is there."""
    if at + 40 > len(data):
        return None
    magic, length, lsn, durable, kind, z1, z2, z3, crc, z4 = struct.unpack_from("<IIQQBBHIII", data, at)
    end = at + 40 + -(-length // 8) * 8
    if magic != 0x4C574242 ^ (nonce & 0xFFFFFFFF) or length > 256 << 20 or end > len(data):
        return None
    payload, padding = data[at + 40 : at + 40 + length], data[at + 40 + length : end]
    place = struct.pack("<QQQ", nonce, number, at)
    if crc32c(place + data[at : at + 32] + payload) != crc or any(padding) or z1 | z2 | z3 | z4:
        return None
    return (kind, lsn, durable, payload, end) if kind == 1 or kind == 2 and length == 0 else None


def read_wal(path, data, db, entry, synced):
    """The batches of one WAL, after the torn-tail rule."""
    number, nonce, lsn, sealed = entry["id"], entry["nonce"], entry["first_lsn"], entry["sealed"]
    need(len(data) >= 128, path, "too short for a header")
    need(read_header(path, data, "wal") == (db, number, nonce), path, "another file is in its place")
    first, zeros, crc = struct.unpack("<Q52sI", data[64:128])
    need(first == lsn and not any(zeros) and crc32c(data[:124]) == crc, path, "header")
    if sealed:
        data = data[: sealed[0]]
    at, batches = 128, []
    while record := record_at(data, at, number, nonce):
        kind, found, _, payload, end = record
        need(found == (lsn if kind == 1 else lsn - 1), path, f"number of the record at byte {at}")
        if kind == 1:
            batches.append(payload)
            lsn += 1
        at = end
    if sealed:
        need((at, lsn - 1) == tuple(sealed), path, f"commit {lsn} is missing from a finished WAL")
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
        self._read = read
        self.db, self.manifest = read_manifest(self.file("MANIFEST"))
        m, self.schema = self.manifest, self.manifest["schema"]
        self.seq, self.items, self.events = m["flushed"], {}, []
        for part in m["parts"]:
            self._read_part(part)
        self._replay(m)
        for entry in m["artifacts"]:
            self._check_artifact(entry)

    def file(self, path):
        data = self._read(path)
        need(data is not None, path, "the file is missing")
        return data

    def _read_part(self, part):
        ref = part["segment"]
        path = f"segments/{ref['id']:06}.seg"
        file = Sections(path, self.file(path), "segment", self.db, ref)
        segment = Segment(file, self.schema)
        need(segment.last_seq <= self.manifest["flushed"], path, "META does not fit MANIFEST")
        rows, events = np.zeros(segment.rows, bool), np.zeros(segment.events, bool)
        if dead := part["dead"]:
            path = f"segments/{ref['id']:06}.{dead['id']:06}.dead"
            marks = Sections(path, self.file(path), "dead", self.db, dead)
            rows = read_bitmap(marks.get(50), segment.rows, path)
            events = read_bitmap(marks.get(51), segment.events, path)
        for key, vectors, attrs in segment.read_items(rows):
            need(key not in self.items, path, f"item {key!r} is alive twice")
            self.items[key] = (vectors, attrs)
        self.events += segment.read_events(events)
        path = f"derived/{ref['id']:06}.items"
        if data := self._read(path):
            Sections(path, data, "derived")

    def _replay(self, m):
        lsn = m["wals"][0]["first_lsn"] if m["wals"] else 1
        need(lsn <= m["flushed"] + 1, "MANIFEST", "commits that are in no WAL")
        for entry in m["wals"]:
            path, synced = f"wal/{entry['id']:06}.wal", 0 if entry["sealed"] else m["synced"]
            need(entry["first_lsn"] == lsn, path, "number of the first commit")
            for payload in read_wal(path, self.file(path), self.db, entry, synced):
                if lsn > self.seq:
                    self._apply(Cursor(payload, path))
                    self.seq = lsn
                lsn += 1
        need(self.seq >= m["synced"], "MANIFEST", f"commits up to {m['synced']} are in no WAL")

    def _apply(self, c):
        keys = self.schema["keys"]
        for _ in range(c.u64()):
            match c.variant(["put", "delete", "event", "erase user", "erase item"]):
                case "put":
                    key, vectors, attrs = read_key(c, keys), {}, {}
                    for field, blob in c.vec(lambda: (c.u16(), c.blob())):
                        for space in (s for s in self.schema["spaces"] if s["id"] == field):
                            vectors[space["name"]] = self._stored_vector(space, blob, c.path)
                    for field, value in c.vec(lambda: (c.u16(), read_value(c))):
                        for attr in (a for a in self.schema["attrs"] if a["id"] == field):
                            attrs[attr["name"]] = value
                    self.items[key] = (vectors, attrs)
                case "delete":
                    self.items.pop(read_key(c, keys), None)
                case "event":
                    event = (c.u64(), read_key(c, keys), c.u8(), c.i64(), c.i64(),
                             c.option(c.f32), c.option(c.u64), c.option(c.u16))
                    need(event[2] < len(self.schema["events"]), c.path, "an unknown kind of event")
                    self.events.append(event)
                case "erase user":
                    user = c.u64()
                    self.events = [event for event in self.events if event[0] != user]
                case _:
                    key = read_key(c, keys)
                    self.items.pop(key, None)
                    self.events = [event for event in self.events if event[1] != key]
        c.end()

    def _stored_vector(self, space, blob, path):
        """In the WAL the scale of i8 follows the codes."""
        size, i8 = row_bytes(space), space["encoding"] == "i8"
        need(len(blob) == size + 4 * i8, path, "length of a vector")
        scale = struct.unpack("<f", blob[size:])[0] if i8 else 1.0
        return decode_vector(space, blob[:size], scale)

    def _check_artifact(self, entry):
        plain = re.fullmatch("[a-z0-9_-]+", entry["name"])
        need(plain, "MANIFEST", f"an artifact cannot be called {entry['name']!r}")
        path = f"artifacts/{entry['name']}@{entry['version']}.{entry['file']['id']:06}.art"
        file = Sections(path, self.file(path), "artifact", self.db, entry["file"])
        c = Cursor(file.get(60), path)
        label = (c.string(), c.u32(), c.string(), c.u16())
        need(label == tuple(entry[k] for k in ("name", "version", "kind", "format")), path, "label")
        entry["trained_at"], entry["seed"] = c.u64(), c.u64()
        parents = c.vec(lambda: [c.string(), c.u32()])
        entry["notes"] = c.vec(lambda: [c.string(), c.string()])
        c.end()
        need(parents == entry["parents"], path, "parents")

    def document(self):
        """Everything that a reader sees. Floats of 64 bits are texts, so that no digit is lost."""
        types = {attr["name"]: attr["type"] for attr in self.schema["attrs"]}

        def attribute(name, value):
            return {types[name]: repr(value) if types[name] == "float" else value}

        def item(key):
            vectors, attrs = self.items[key]
            attrs = {name: attribute(name, value) for name, value in attrs.items()}
            return {"key": key, "vectors": vectors, "attrs": attrs}

        order = str.encode if self.schema["keys"] == "name" else int
        names = ("user", "item", "kind", "at", "recorded", "value", "request", "position")
        events = sorted(self.events, key=lambda event: (event[0], event[3], event[4]))
        shown = ("name", "version", "kind", "active", "parents", "trained_at", "seed", "notes")
        return {
            "seq": self.seq,
            "schema": self.schema,
            "items": [item(key) for key in sorted(self.items, key=order)],
            "events": [dict(zip(names, event)) for event in events],
            "artifacts": [{k: a[k] for k in shown} for a in self.manifest["artifacts"]],
        }


def files_of(directory):
    def read(path):
        try:
            with open(os.path.join(directory, path), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    return read


def main(arguments):
    if len(arguments) != 1:
        sys.exit("usage: bowerbird.py DIR")
    try:
        print(json.dumps(Database(files_of(arguments[0])).document(), ensure_ascii=False))
    except Damage as damage:
        print(f"damaged: {damage}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
