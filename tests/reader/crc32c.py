"""CRC-32C (Castagnoli) of large arrays in numpy. Any library for it would do in its place.

Bytes are combined to pairs, pairs to fours, and so on: the checksum of two halves is the first one's
state after as many zero bytes as the second has, exclusive-or the second one's state.
"""

import numpy as np


def _apply(operator, s):
    low, high = operator[0][s & 255] ^ operator[1][(s >> 8) & 255], operator[2][(s >> 16) & 255]
    return low ^ high ^ operator[3][s >> 24]


def _tables():
    """What one byte does to a state of zero; and what 2**k zero bytes do to each byte of a state."""
    one = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        one = np.where(one & 1, (one >> 1) ^ np.uint32(0x82F63B78), one >> 1)
    states = [np.arange(256, dtype=np.uint32) << np.uint32(8 * i) for i in range(4)]
    operators = [[one[s & 255] ^ (s >> 8) for s in states]]
    for _ in range(34):
        operators.append([_apply(operators[-1], table) for table in operators[-1]])
    return one, operators


ONE, ZEROS = _tables()


def crc32c(data):
    n = len(data)
    if n < 4:
        state = 0xFFFFFFFF
        for byte in data:
            state = int(ONE[(state ^ byte) & 255]) ^ (state >> 8)
        return state ^ 0xFFFFFFFF
    # Zeros in front change nothing while the state is zero, and a first state of all ones is the same
    # as the first four bytes inverted.
    size = 1 << (n - 1).bit_length()
    padded = np.zeros(size, np.uint8)
    padded[size - n :] = np.frombuffer(data, np.uint8)
    padded[size - n : size - n + 4] ^= 0xFF
    states, level = ONE[padded], 0
    while states.size > 1:
        states, level = _apply(ZEROS[level], states[0::2]) ^ states[1::2], level + 1
    return int(states[0]) ^ 0xFFFFFFFF
