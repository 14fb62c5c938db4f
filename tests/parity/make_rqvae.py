"""RQ-VAEs of random weights with the arithmetic of LETTER's RQVAE, in numpy, and their codes.

    python tests/parity/make_rqvae.py OUT

needs numpy and safetensors. Writes per model a folder with the exported weights, `manifest.json`, and
`expected.safetensors`:

    vectors  f32 [200, dim]     as they are in the database
    codes    u16 [200, levels]  what the RQ-VAE says
    latent   f32 [200, numbers] what its encoder says
"""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../examples/export"))
import export_rqvae  # noqa: E402

VECTORS = 200
# Of the encoder: input, layers, output; codes of each level; batch norms; scaled to length one first.
MODELS = {
    "plain": ([24, 32, 16, 8], [32, 32, 32], False, False),
    "norms": ([20, 24, 6], [17, 40, 9, 5], True, True),
}


def draw(sizes, widths, norms, random):
    """A state dict as `RQVAE` names it: dropout, linear, batch norm if any, ReLU but for the last."""
    state, at = {}, 0
    normal = lambda *shape: random.standard_normal(shape).astype(np.float32)
    for inputs, outputs in zip(sizes[:-1], sizes[1:]):
        state[f"encoder.mlp_layers.{at + 1}.weight"] = normal(outputs, inputs) * np.float32((2 / inputs) ** 0.5)
        state[f"encoder.mlp_layers.{at + 1}.bias"] = normal(outputs) * np.float32(0.1)
        if norms:
            name = f"encoder.mlp_layers.{at + 2}."
            state[name + "weight"] = 1 + normal(outputs) * np.float32(0.2)
            state[name + "bias"] = normal(outputs) * np.float32(0.1)
            state[name + "running_mean"] = normal(outputs) * np.float32(0.1)
            state[name + "running_var"] = np.float32(0.1) + np.abs(normal(outputs))
            state[name + "num_batches_tracked"] = np.asarray(7)
        at += 4 if norms else 3
    for level, width in enumerate(widths):
        state[f"rq.vq_layers.{level}.embedding.weight"] = normal(width, sizes[-1]) * np.float32(0.7**level)
    # The decoder is not exported.
    state["decoder.mlp_layers.1.weight"] = normal(3, 3)
    return state


def encode(state, vectors, sizes, norms):
    """The encoder as it is evaluated: layer by layer, batch norms not folded."""
    now, at = vectors, 0
    for layer in range(len(sizes) - 1):
        now = now @ state[f"encoder.mlp_layers.{at + 1}.weight"].T + state[f"encoder.mlp_layers.{at + 1}.bias"]
        if norms:
            part = lambda name: state[f"encoder.mlp_layers.{at + 2}.{name}"]
            now = (now - part("running_mean")) / np.sqrt(part("running_var") + np.float32(1e-5))
            now = now * part("weight") + part("bias")
        if layer < len(sizes) - 2:
            now = np.maximum(now, 0)
        at += 4 if norms else 3
    return now


def quantize(state, latent, levels):
    """The nearest code of each level, and how much nearer it is than the second, at least."""
    codes, residual, gap = [], latent, np.inf
    for level in range(levels):
        table = state[f"rq.vq_layers.{level}.embedding.weight"]
        squares = (residual**2).sum(1, keepdims=True) + (table**2).sum(1)
        distances = squares - 2 * residual @ table.T
        nearest = np.sort(distances, 1)
        gap = min(gap, (nearest[:, 1] - nearest[:, 0]).min())
        codes.append(distances.argmin(1))
        residual = residual - table[codes[-1]]
    return np.stack(codes, 1), gap


def make(folder, name, seed):
    sizes, widths, norms, normalize = MODELS[name]
    random = np.random.default_rng(seed)
    state = draw(sizes, widths, norms, random)
    vectors = random.standard_normal((VECTORS, sizes[0])).astype(np.float32)
    read = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if normalize else vectors
    latent = encode(state, read, sizes, norms)
    codes, gap = quantize(state, latent, len(widths))
    tensors = export_rqvae.convert(state)
    export_rqvae.save(folder, tensors, export_rqvae.config(tensors, "text", normalize))
    from safetensors.numpy import save_file

    expected = {"vectors": vectors, "codes": codes.astype(np.uint16), "latent": latent.astype(np.float32)}
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    # Closer than rounding can tell apart: another seed would be needed.
    assert gap > 1e-4, f"{name}: two codes are {gap} apart"
    used = [len(set(column)) for column in codes.T]
    print(f"{name}: {used} of {widths} codes are used; the nearest is nearer by {gap:.1e} or more")


if __name__ == "__main__":
    for name in MODELS:
        make(os.path.join(sys.argv[1], name), name, seed=8)
