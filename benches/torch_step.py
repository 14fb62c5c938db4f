"""Seconds per training step of SASRec in PyTorch, one thread, to run in turns with ours:

    cargo test --release --lib steps_take_so_long -- --ignored --nocapture
    python benches/torch_step.py

Batch 128, d = 64, two pre-norm blocks, one head, 3,500 items, Adam, no dropout; the least of several
steps. Needs torch.
"""

import time

import torch
from torch import nn
from torch.nn import functional as F

BATCH, DIM, ITEMS = 128, 64, 3500


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.qkv, self.out = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.f1, self.f2 = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)

    def forward(self, x):
        q, k, v = self.qkv(self.n1(x)).unsqueeze(1).chunk(3, dim=-1)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).squeeze(1))
        return x + self.f2(torch.relu(self.f1(self.n2(x))))


class Sasrec(nn.Module):
    def __init__(self, length):
        super().__init__()
        self.items, self.places = nn.Embedding(ITEMS, DIM), nn.Embedding(length, DIM)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm = nn.LayerNorm(DIM)

    def forward(self, x):
        return self.norm(self.blocks(self.items(x) + self.places.weight))


def step(model, optimizer, x, y, negatives):
    states = model(x).reshape(-1, DIM)
    if negatives:
        drawn = model.items(torch.randint(ITEMS, (negatives,)))
        right = (states * model.items(y.reshape(-1))).sum(-1, keepdim=True)
        loss = F.cross_entropy(
            torch.cat([right, states @ drawn.T], 1), torch.zeros(len(states), dtype=torch.long)
        )
    else:
        loss = F.cross_entropy(states @ model.items.weight.T, y.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def main():
    torch.set_num_threads(1)
    for length, negatives in ((50, 256), (50, 0), (200, 256), (200, 0)):
        torch.manual_seed(0)
        model = Sasrec(length)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        x = torch.randint(ITEMS, (BATCH, length))
        times = []
        for _ in range(6):
            start = time.perf_counter()
            loss = step(model, optimizer, x, (x * 7 + 13) % ITEMS, negatives)
            times.append(time.perf_counter() - start)
        what = f"{negatives} negatives" if negatives else "all items"
        print(f"length {length}, {what}: {min(times):.3f} s, loss {loss:.3f}", flush=True)


if __name__ == "__main__":
    main()
