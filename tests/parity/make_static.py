"""What STATIC's own builder makes of some semantic IDs.

    python tests/parity/make_static.py CHECKOUT > tests/fixtures/semantic/static.json

needs numpy and a checkout of github.com/youtube/static-constraint-decoding (Apache-2.0), whose
`build_static_index` is called. Writes IDs, options and all arrays; large ones as they are sparse.
"""

import importlib.util
import json
import sys

import numpy as np

spec = importlib.util.spec_from_file_location("csr_utils", sys.argv[1] + "/static_decoding/csr_utils.py")
csr_utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(csr_utils)

# IDs, levels, codes in use, vocabulary, dense levels.
CASES = [(1, 2, 3, 4, 1), (40, 3, 5, 8, 1), (40, 3, 5, 8, 2), (300, 4, 6, 6, 2), (200, 5, 4, 9, 3), (60, 8, 2, 2, 1)]


def sparse(array):
    flat = array.reshape(-1)
    at = np.flatnonzero(flat)
    return {"shape": list(array.shape), "at": at.tolist(), "values": flat[at].astype(int).tolist()}


def main():
    rng, out = np.random.default_rng(7), []
    for count, levels, codes, vocabulary, dense in CASES:
        ids = np.unique(rng.integers(0, codes, (count, levels)), axis=0)
        packed, indptr, branches, start, mask, states = csr_utils.build_static_index(ids, vocabulary, dense)
        assert packed.dtype == np.int32 and indptr.dtype == np.int32 and states.dtype == np.int32
        assert start.dtype == bool and mask.dtype == bool
        out.append({
            "ids": ids.tolist(),
            "vocabulary": vocabulary,
            "dense": dense,
            "packed_csr": packed.reshape(-1).tolist(),
            "indptr": indptr.tolist(),
            "layer_max_branches": [int(n) for n in branches],
            "start_mask": sparse(start),
            "dense_mask": sparse(mask),
            "dense_states": sparse(states),
        })
    json.dump(out, sys.stdout, separators=(",", ":"))


main()
