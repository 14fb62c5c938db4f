"""Writes model.safetensors and manifest.json, which `Codebook::import` reads, from an RQ-VAE.

    python export_rqvae.py CHECKPOINT OUT --space NAME [--normalize]

CHECKPOINT is what the trainers of LETTER, LC-Rec and MiniOneRec save: a dictionary whose `state_dict` is
that of their `RQVAE`. NAME is the space of the database whose vectors go in; `--normalize` scales them to
length one first, if that is how the vectors were that the RQ-VAE was trained on.

The encoder's batch norms, if it has any, are folded into its linear layers. Its decoder is left behind,
and so is what only training needs. Needs torch, numpy, safetensors.
"""

import argparse
import json
import os
import re

import numpy as np

# What `nn.BatchNorm1d` adds to the variance.
EPS = 1e-5


def convert(state):
    """Tensors as `Codebook::import` wants them."""
    layers, levels = {}, {}
    for name, tensor in state.items():
        if found := re.fullmatch(r"encoder\.mlp_layers\.(\d+)\.(\w+)", name):
            layers.setdefault(int(found[1]), {})[found[2]] = np.asarray(tensor)
        elif found := re.fullmatch(r"rq\.vq_layers\.(\d+)\.embedding\.weight", name):
            levels[int(found[1])] = np.asarray(tensor)
        elif not name.startswith(("decoder.", "rq.")):
            raise SystemExit(f"{name} is no part of the RQVAE of LETTER, LC-Rec or MiniOneRec")
    if not layers or sorted(levels) != list(range(len(levels))) or not levels:
        raise SystemExit("there must be encoder.mlp_layers and rq.vq_layers 0, 1, ...")
    folded = []
    for _, layer in sorted(layers.items()):
        if "running_var" not in layer:
            folded.append((layer["weight"], layer["bias"]))
            continue
        weight, bias = folded.pop()
        scale = layer["weight"].astype(np.float64) / np.sqrt(layer["running_var"].astype(np.float64) + EPS)
        bias = (bias - layer["running_mean"]) * scale + layer["bias"]
        folded.append((weight * scale[:, None], bias))
    tensors = {f"rq.vq_layers.{at}.embedding.weight": level for at, level in levels.items()}
    for at, (weight, bias) in enumerate(folded):
        tensors[f"encoder.mlp_layers.{3 * at + 1}.weight"] = weight
        tensors[f"encoder.mlp_layers.{3 * at + 1}.bias"] = bias
    return {name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}


def config(tensors, space, normalize):
    """What the manifest says of them."""
    count = lambda name: sum(re.fullmatch(name, one) is not None for one in tensors)
    layers = [tensors[f"encoder.mlp_layers.{3 * at + 1}.weight"].shape for at in range(count(r"encoder.*\.bias"))]
    dim = layers[0][1]
    return {
        "inputs": [{"space": space, "dim": dim, "normalize": normalize, "weight": 1.0, "mean": False}],
        "encoder": [outputs for outputs, _ in layers],
        # The only one that their RQVAE can be made with.
        "activation": "relu",
        "widths": [len(tensors[f"rq.vq_layers.{at}.embedding.weight"]) for at in range(count(r"rq\..*"))],
        "priced": False,
    }


def save(folder, tensors, config):
    """Writes both files."""
    from safetensors.numpy import save_file

    os.makedirs(folder, exist_ok=True)
    save_file(tensors, os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "manifest.json"), "w") as out:
        json.dump({"format": 1, "architecture": "rq-vae", "config": config}, out, indent=1)


def main():
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("checkpoint", "out"):
        parser.add_argument(name)
    parser.add_argument("--space", required=True)
    parser.add_argument("--normalize", action="store_true")
    args = parser.parse_args()
    # The checkpoint holds the trainer's arguments as well, which are objects: trust who made it.
    state = torch.load(args.checkpoint, map_location="cpu", weights_only=False)
    state = {name: tensor.float().numpy() for name, tensor in state.get("state_dict", state).items()}
    tensors = convert(state)
    save(args.out, tensors, config(tensors, args.space, args.normalize))


if __name__ == "__main__":
    main()
