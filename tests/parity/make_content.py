"""The map from content to rows of a sequence model, in PyTorch, and what it says of some items.

    python tests/parity/make_content.py OUT

needs torch and safetensors. Writes `content/content.safetensors`: the weights under their names in exported models,
vectors of 40 items in two spaces, and their rows. Every fourth item has no text, every fifth no image: there it
counts as the mean, and with neither it has no row.
"""

import os
import sys

import torch
from safetensors.torch import save_file

ITEMS, TEXT, IMAGE, HIDDEN, DIM = 40, 6, 3, 7, 5
WEIGHT = 0.5


def make(folder):
    torch.manual_seed(4)
    text, image = torch.randn(ITEMS, TEXT) * 3, torch.randn(ITEMS, IMAGE)
    unit = torch.nn.functional.normalize(text, dim=1)
    means = unit.mean(0), image.mean(0)
    has_text = torch.tensor([at % 4 != 3 for at in range(ITEMS)])[:, None]
    has_image = torch.tensor([at % 5 != 4 for at in range(ITEMS)])[:, None]
    read = torch.cat([(unit - means[0]) * has_text, (image - means[1]) * WEIGHT * has_image], 1)
    one, two = torch.nn.Linear(TEXT + IMAGE, HIDDEN), torch.nn.Linear(HIDDEN, DIM)
    with torch.no_grad():
        rows = two(torch.relu(one(read)))
    tensors = {"text": text, "image": image, "rows": rows}
    tensors |= {f"content.inputs.{at}.mean": mean.clone() for at, mean in enumerate(means)}
    for at, layer in enumerate([one, two]):
        tensors[f"content.layers.{at}.weight"] = layer.weight.detach().clone()
        tensors[f"content.layers.{at}.bias"] = layer.bias.detach().clone()
    os.makedirs(folder, exist_ok=True)
    save_file(tensors, os.path.join(folder, "content.safetensors"))


if __name__ == "__main__":
    make(os.path.join(sys.argv[1], "content"))
