"""Steps of an RQ-VAE and of an FSQ in PyTorch, with gradients by autograd.

    python tests/parity/make_autoencoder.py OUT

needs torch, numpy and safetensors. Writes per model `steps.safetensors`, all f32:

    points     [rows, wide]
    theta      [parameters]  before: encoder and decoder, layer by layer, weights [out, in] and biases
    level.N    [codes, dim]  centroids before, of the RQ-VAE
    loss       [steps]       mean loss of each step's batch, all rows
    grad       [parameters]  of the first step
    after      [parameters]  after the last step
    after.N    [codes, dim]  centroids after it
"""

import os
import sys

import torch
from safetensors.torch import save_file

ROWS, WIDE, HIDDEN, STEPS = 300, 12, [10, 7], 6
COMMITMENT, RATE, DECAY, KEEP = 0.25, 1e-2, 1e-2, 0.99
LEVELS, DIM = [8, 6], 5
VALUES = [[4, 5], [2, 3]]


def network(sizes):
    layers = []
    for at, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:])):
        layers += [torch.nn.Linear(inputs, outputs)] + ([torch.nn.ReLU()] if at < len(sizes) - 2 else [])
    return torch.nn.Sequential(*layers)


class Rounded(torch.autograd.Function):
    """Rounds, and lets gradients through as if it had not."""

    @staticmethod
    def forward(_, x):
        return x.round()

    @staticmethod
    def backward(_, grad):
        return grad


class Residual:
    """Codes as moving means, as in van den Oord et al. (2017) and Lee et al. (2022)."""

    def __init__(self):
        self.levels = [torch.randn(codes, DIM) * 0.5**at for at, codes in enumerate(LEVELS)]
        self.sizes = [torch.full((codes,), ROWS / codes) for codes in LEVELS]
        self.sums = [level * size[:, None] for level, size in zip(self.levels, self.sizes)]
        self.dim = DIM

    def __call__(self, latent):
        residual, said, loss, self.given = latent, torch.zeros_like(latent), 0, []
        for level in self.levels:
            codes = torch.cdist(residual.detach(), level).argmin(1)
            self.given.append((codes, residual.detach()))
            loss = loss + ((residual - level[codes]) ** 2).mean(1).mean()
            residual = residual - level[codes]
            said = said + level[codes]
        return latent + (said - latent).detach(), COMMITMENT * loss

    def follow(self):
        for at, (codes, given) in enumerate(self.given):
            hot = torch.nn.functional.one_hot(codes, LEVELS[at]).float()
            self.sizes[at] = KEEP * self.sizes[at] + (1 - KEEP) * hot.sum(0)
            self.sums[at] = KEEP * self.sums[at] + (1 - KEEP) * hot.T @ given
            self.levels[at] = self.sums[at] / self.sizes[at][:, None]


class Grid:
    """Tangents, rounded to values evenly apart from -1 to 1."""

    def __init__(self):
        self.levels, self.steps = [], torch.tensor([size - 1.0 for level in VALUES for size in level])
        self.dim = len(self.steps)

    def __call__(self, latent):
        place = (torch.tanh(latent) + 1) / 2 * self.steps
        return 2 * Rounded.apply(place) / self.steps - 1, 0.0

    def follow(self):
        pass


def make(folder, middle, seed):
    torch.manual_seed(seed)
    middle = middle()
    encoder = network([WIDE] + HIDDEN + [middle.dim])
    decoder = network([middle.dim] + HIDDEN[::-1] + [WIDE])
    parameters = list(encoder.parameters()) + list(decoder.parameters())
    flat = lambda tensors: torch.cat([tensor.detach().reshape(-1).clone() for tensor in tensors])
    points = torch.randn(ROWS, WIDE)
    out = {"points": points, "theta": flat(parameters)}
    out |= {f"level.{at}": level.clone() for at, level in enumerate(middle.levels)}
    adam = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=DECAY)
    losses = []
    for step in range(STEPS):
        read, commitment = middle(encoder(points))
        loss = ((decoder(read) - points) ** 2).mean(1).mean() + commitment
        adam.zero_grad()
        loss.backward()
        if step == 0:
            out["grad"] = flat([parameter.grad for parameter in parameters])
        adam.step()
        middle.follow()
        losses.append(loss.item())
    out |= {"loss": torch.tensor(losses), "after": flat(parameters)}
    out |= {f"after.{at}": level.clone() for at, level in enumerate(middle.levels)}
    os.makedirs(folder, exist_ok=True)
    save_file(out, os.path.join(folder, "steps.safetensors"))
    print(f"{folder}: losses {losses}")


if __name__ == "__main__":
    make(os.path.join(sys.argv[1], "rqvae"), Residual, seed=3)
    make(os.path.join(sys.argv[1], "fsq"), Grid, seed=3)
