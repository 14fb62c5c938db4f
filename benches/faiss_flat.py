"""The same exact scan by faiss: IndexFlatIP, one query at a time, one thread.

    pip install faiss-cpu numpy && python3 benches/faiss_flat.py

Run it in turns with `cargo bench --bench scan`: the two print the same table over as many bytes.
"""

import os
import time

os.environ["OMP_NUM_THREADS"] = "1"

import faiss  # noqa: E402  the variable must be set first
import numpy as np  # noqa: E402

BYTES = 256 << 20

faiss.omp_set_num_threads(1)
print(f"faiss {faiss.__version__}, exact top-10 by inner product, one thread, {BYTES >> 20} MiB\n")
print("| space | rows | query ms | GB/s |\n|---|---|---|---|")
for name, factory, width in [("f32", "Flat", 4), ("f16", "SQfp16", 2), ("i8", "SQ8", 1)]:
    for dim in (64, 128, 384, 768):
        rows = BYTES // (dim * width)
        dice = np.random.default_rng(dim)
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
        for start in range(0, rows, 1 << 18):
            part = dice.uniform(-1, 1, (min(1 << 18, rows - start), dim)).astype(np.float32)
            if not index.is_trained:
                index.train(part)
            index.add(part)
        query = dice.uniform(-1, 1, (1, dim)).astype(np.float32)
        times = []
        for _ in range(16):
            begin = time.perf_counter()
            index.search(query, 10)
            times.append(time.perf_counter() - begin)
        median = sorted(times[1:])[7]
        print(f"| {name} x {dim} | {rows} | {median * 1e3:.2f} | {rows * dim * width / median / 1e9:.1f} |")
