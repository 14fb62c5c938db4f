#!/usr/bin/env python3
"""Reads a database again and again with one byte changed.

    python3 flips.py DIR < flips.json

`flips.json` is a list of [path, offset, mask]. Prints a JSON list with one answer per flip: "same",
"damaged: ..." or "different". Every file of the directory is read once.
"""

import json
import sys

from bowerbird import Damage, Database, files_of


def main(directory):
    kept, disk = {}, files_of(directory)

    def keep(path):
        if path not in kept:
            kept[path] = disk(path)
        return kept[path]

    def text(read):
        return json.dumps(Database(read).document())

    expected, answers = text(keep), []
    for path, offset, mask in json.load(sys.stdin):
        def flipped(name):
            data = keep(name)
            if name != path:
                return data
            return data[:offset] + bytes([data[offset] ^ mask]) + data[offset + 1 :]

        try:
            answers.append("same" if text(flipped) == expected else "different")
        except Damage as damage:
            answers.append(f"damaged: {damage}")
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1])
