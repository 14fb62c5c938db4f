"""Scores of BM25 by bm25s (Lu, 2024), method "lucene", for tests/suite/words.rs.

pip install 'bm25s==0.2.*' numpy; python3 tests/parity/make_bm25.py > tests/fixtures/words/bm25.json
Texts are made up of few words, so that words repeat within a text and lengths differ.
"""
import json
import random

import bm25s

WORDS = "the of star wars night city love war moon river king road house last first man".split()


def main():
    draw = random.Random(7)
    common = lambda: WORDS[min(int(draw.expovariate(0.35)), len(WORDS) - 1)]
    texts = [" ".join(common() for _ in range(1 + int(draw.expovariate(0.12)))) for _ in range(120)]
    queries = [" ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 5))) for _ in range(10)]
    queries += ["the the the", "star wars star", "unknown star", "unknown"]
    cases = []
    for k1, b in [(1.2, 0.75), (0.9, 0.4), (0.0, 0.5), (2.0, 1.0)]:
        model = bm25s.BM25(method="lucene", k1=k1, b=b, dtype="float64", int_dtype="int64")
        model.index([text.split() for text in texts], show_progress=False)
        for query in queries:
            known = [word for word in query.split() if word in model.vocab_dict]
            scores = model.get_scores(known).tolist() if known else [0.0] * len(texts)
            cases.append({"k1": k1, "b": b, "query": query, "scores": [round(s, 10) for s in scores]})
    print(json.dumps({"texts": texts, "cases": cases}))


if __name__ == "__main__":
    main()
