"""Makes the files beside this script from the original data sets.

    python3 prepare.py INPUT [OUTPUT]

INPUT holds, as published (README.md says where they come from):
    mlsmall_links.csv mlsmall_ratings.csv mlsmall_README.txt      MovieLens ml-latest-small, ';' between fields
    msrd_corpus.jsonl.gz msrd_judgments_dev.tsv msrd_NOTICE.txt   Movie Search Ranking Dataset
    msrd_docs_minilm384.f16.npy                                   one vector per line of the corpus
    msrd_queries_dev.tsv msrd_queries_dev_minilm384.f16.npy       one vector per line of the queries

Nothing is random: the same input gives the same bytes. Standard library only.
"""

import csv
import gzip
import hashlib
import json
import shutil
import sys
from collections import defaultdict
from pathlib import Path

DIM = 384
ROW = DIM * 2
QUERIES = 500
ACTORS = 5
# Two vocabularies met in the corpus.
GENRES = {"science fiction": "sci-fi", "family": "children"}


def npy_rows(path):
    """The rows of a float16 .npy file as bytes. The header is checked, the numbers are not touched."""
    data = path.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00", path
    size = int.from_bytes(data[8:10], "little")
    header = data[10 : 10 + size].decode()
    assert "'<f2'" in header and "'fortran_order': False" in header and f", {DIM})" in header, header
    body = data[10 + size :]
    assert len(body) % ROW == 0
    return [body[at : at + ROW] for at in range(0, len(body), ROW)]


def clean(text):
    """One field of a TSV file: no tabs, no line ends."""
    return " ".join(str(text).split())


def tsv(path, rows):
    lines = ("\t".join(clean(field) for field in row) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


def read_tsv(path, header):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines[1 if header else 0 :]]


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=";"))[1:]


def movies(source, target):
    """Movies that have both a text and a rating, in the order of their MovieLens number."""
    with gzip.open(source / "msrd_corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = {doc["id"]: (at, doc) for at, doc in enumerate(map(json.loads, file))}
    ratings = read_csv(source / "mlsmall_ratings.csv")
    rated = {movie for _, movie, _, _ in ratings}
    links = read_csv(source / "mlsmall_links.csv")
    joined = sorted((int(m), tmdb) for m, _, tmdb in links if m in rated and tmdb in texts)
    # A film that MovieLens has twice is here once, under its first number.
    first = {tmdb: movie for movie, tmdb in reversed(joined)}
    joined = [(movie, tmdb) for movie, tmdb in joined if first[tmdb] == movie]
    vectors = npy_rows(source / "msrd_docs_minilm384.f16.npy")
    rows = []
    for movie, tmdb in joined:
        doc = texts[tmdb][1]
        names = {GENRES.get(genre.lower(), genre.lower()) for genre in doc["genres"]}
        genres = "|".join(sorted(names - {"(no genres listed)"}))
        actors = "|".join(doc["actors"][:ACTORS])
        fields = (movie, tmdb, doc["year"], doc["title"], genres, doc["director"], actors)
        rows.append((*fields, doc["overview"]))
    tsv(target / "movies.tsv", rows)
    (target / "movies.f16").write_bytes(b"".join(vectors[texts[tmdb][0]] for _, tmdb in joined))
    numbers = {movie for movie, _ in joined}
    kept = [(int(t), int(u), int(m), r) for u, m, r, t in ratings if int(m) in numbers]
    kept.sort()
    tsv(target / "ratings.tsv", ((u, m, r, t) for t, u, m, r in kept))
    return first


def queries(source, target, numbers):
    """Queries of which every relevant movie is here, with 10 judged movies or more that are here.

    Which ones of those is decided by a hash of the query's number, so not by how well any method does.
    """
    judged = defaultdict(list)
    for query, _, doc, grade in read_tsv(source / "msrd_judgments_dev.tsv", header=True):
        judged[query].append((doc, int(grade)))
    fit = []
    lines = read_tsv(source / "msrd_queries_dev.tsv", header=False)
    for at, (query, text) in enumerate(lines):
        relevant = [doc for doc, grade in judged[query] if grade > 0]
        here = [(doc, grade) for doc, grade in judged[query] if doc in numbers]
        if relevant and all(doc in numbers for doc in relevant) and len(here) >= 10:
            fit.append((hashlib.sha256(query.encode()).hexdigest(), at, text, here))
    chosen = sorted(sorted(fit)[:QUERIES], key=lambda q: q[1])
    vectors = npy_rows(source / "msrd_queries_dev_minilm384.f16.npy")
    tsv(target / "queries.tsv", ([text] for _, _, text, _ in chosen))
    (target / "queries.f16").write_bytes(b"".join(vectors[at] for _, at, _, _ in chosen))
    judgments = []
    for line, (_, _, _, here) in enumerate(chosen):
        judgments += sorted((line, numbers[doc], grade) for doc, grade in set(here))
    tsv(target / "judgments.tsv", judgments)


def main():
    source = Path(sys.argv[1])
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent
    queries(source, target, movies(source, target))
    for licence in ("mlsmall_README.txt", "msrd_NOTICE.txt"):
        shutil.copyfile(source / licence, target / licence)


if __name__ == "__main__":
    main()
