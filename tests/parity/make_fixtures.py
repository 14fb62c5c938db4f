"""Real PyTorch models with random weights, and what they say of 1,000 histories.

    python tests/parity/make_fixtures.py OUT [ARCHITECTURE...]

needs torch, transformers, numpy and safetensors. Writes per architecture a folder with the exported
weights, `manifest.json`, and `expected.safetensors`: the scores of 20 histories and the ten best
items of 1,000. The models are written here after the published code of each architecture.
"""

import os
import sys

import numpy as np
import torch
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../examples/export"))
import export_weights  # noqa: E402

ITEMS, DIM, LENGTH, LAYERS, HEADS = 60, 16, 12, 2, 2
USERS, SCORED = 1000, 20


def histories():
    """Codes from 0, of lengths 1 to 20: some are longer than the window."""
    state = np.uint64(88172645463325252)
    out = []
    for user in range(USERS):
        one = []
        for _ in range(1 + user % 20):
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            one.append(int(state % np.uint64(ITEMS)))
        out.append(one)
    return out


class Convolutions(nn.Module):
    def __init__(self, dim, residual):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(dim, dim, 1), nn.Conv1d(dim, dim, 1)
        self.residual = residual

    def forward(self, x):
        y = self.conv2(torch.relu(self.conv1(x.transpose(1, 2)))).transpose(1, 2)
        return y + x if self.residual else y


class Pmixer(nn.Module):
    """SASRec.pytorch: `order` is "query", "pre" or "post"."""

    def __init__(self, order):
        super().__init__()
        self.order = order
        positions = LENGTH if order == "query" else LENGTH + 1
        self.item_emb, self.pos_emb = nn.Embedding(ITEMS + 1, DIM, 0), nn.Embedding(positions, DIM)
        norms = lambda: nn.ModuleList(nn.LayerNorm(DIM, eps=1e-8) for _ in range(LAYERS))
        self.attention_layernorms, self.forward_layernorms = norms(), norms()
        self.attention_layers = nn.ModuleList(nn.MultiheadAttention(DIM, HEADS) for _ in range(LAYERS))
        residual = order == "query"
        self.forward_layers = nn.ModuleList(Convolutions(DIM, residual) for _ in range(LAYERS))
        self.last_layernorm = nn.LayerNorm(DIM, eps=1e-8)

    def forward(self, ids):
        there = (ids != 0).unsqueeze(-1)
        x = self.item_emb(ids) * DIM**0.5
        if self.order == "query":
            x = (x + self.pos_emb(torch.arange(LENGTH))) * there
        else:
            x = x + self.pos_emb(torch.arange(1, LENGTH + 1) * (ids != 0))
        later = ~torch.tril(torch.ones(LENGTH, LENGTH, dtype=torch.bool))
        for norm, attention, norm2, forward in zip(
            self.attention_layernorms, self.attention_layers, self.forward_layernorms, self.forward_layers
        ):
            x = x.transpose(0, 1)
            if self.order == "query":
                query = norm(x)
                x = (query + attention(query, x, x, attn_mask=later)[0]).transpose(0, 1)
                x = forward(norm2(x)) * there
            elif self.order == "pre":
                y = norm(x)
                x = (x + attention(y, y, y, attn_mask=later)[0]).transpose(0, 1)
                x = x + forward(norm2(x))
            else:
                x = norm(x + attention(x, x, x, attn_mask=later)[0]).transpose(0, 1)
                x = norm2(x + forward(x))
        return self.last_layernorm(x)

    def score(self, history):
        window = [code + 1 for code in history[-LENGTH:]]
        ids = torch.tensor([[0] * (LENGTH - len(window)) + window])
        return self(ids)[0, -1] @ self.item_emb.weight[1:].T


class SharedHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.query_proj, self.key_proj, self.val_proj = (nn.Linear(DIM, DIM) for _ in range(3))

    def forward(self, queries, keys):
        split = lambda x: torch.cat(x.chunk(HEADS, dim=2), dim=0)
        q, k, v = split(self.query_proj(queries)), split(self.key_proj(keys)), split(self.val_proj(keys))
        scores = q @ k.transpose(1, 2) / k.shape[-1] ** 0.5
        hidden = keys.abs().sum(-1).sign().repeat(HEADS, 1).unsqueeze(1) == 0
        later = ~torch.tril(torch.ones(scores.shape[1:], dtype=torch.bool))
        scores = scores.masked_fill(hidden | later, float("-inf"))
        weights = torch.nan_to_num(scores.softmax(-1))
        weights = weights * queries.abs().sum(-1).sign().repeat(HEADS, 1).unsqueeze(-1)
        return torch.cat((weights @ v).chunk(HEADS, dim=0), dim=2)


class GBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.first_norm, self.second_norm = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.multihead_attention = SharedHeads()
        self.dense1, self.dense2 = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)

    def forward(self, x, there):
        query = self.first_norm(x)
        x = self.second_norm(self.multihead_attention(query, x) + query)
        return (self.dense2(torch.relu(self.dense1(x))) + x) * there


class GSasrec(nn.Module):
    def __init__(self):
        super().__init__()
        self.item_embedding = nn.Embedding(ITEMS + 2, DIM)
        self.output_embedding = nn.Embedding(ITEMS + 2, DIM)
        self.position_embedding = nn.Embedding(LENGTH, DIM)
        self.transformer_blocks = nn.ModuleList(GBlock() for _ in range(LAYERS))
        self.seq_norm = nn.LayerNorm(DIM)

    def score(self, history):
        window = [code + 1 for code in history[-LENGTH:]]
        ids = torch.tensor([[ITEMS + 1] * (LENGTH - len(window)) + window])
        there = (ids != ITEMS + 1).float().unsqueeze(-1)
        x = (self.item_embedding(ids) + self.position_embedding(torch.arange(LENGTH))) * there
        for block in self.transformer_blocks:
            x = block(x, there)
        return self.seq_norm(x)[0, -1] @ self.output_embedding.weight[1:-1].T


class Gpt2(nn.Module):
    def __init__(self):
        super().__init__()
        from transformers import GPT2Config, GPT2Model

        config = GPT2Config(vocab_size=ITEMS, n_positions=LENGTH, n_embd=DIM, n_layer=LAYERS, n_head=HEADS)
        self.transformer = GPT2Model(config)

    def score(self, history):
        ids = torch.tensor([history[-LENGTH:]])
        return self.transformer(ids).last_hidden_state[0, -1] @ self.transformer.wte.weight.T


class Bert4Rec(nn.Module):
    def __init__(self):
        super().__init__()
        from transformers import BertConfig, BertForMaskedLM

        config = BertConfig(
            vocab_size=ITEMS + 2,
            hidden_size=DIM,
            max_position_embeddings=LENGTH + 1,
            num_attention_heads=HEADS,
            num_hidden_layers=LAYERS,
            intermediate_size=3 * DIM,
            type_vocab_size=2,
        )
        self.model = BertForMaskedLM(config)

    def state_dict(self):
        return self.model.state_dict()

    def score(self, history):
        window = history[-(LENGTH - 1) :]
        pad = [ITEMS] * (LENGTH - 1 - len(window))
        ids = torch.tensor([pad + window + [ITEMS + 1]])
        positions = torch.arange(1, LENGTH + 1).unsqueeze(0)
        return self.model(ids, position_ids=positions).logits[0, -1, :-2]


class Gru4Rec(nn.Module):
    def __init__(self):
        super().__init__()
        self.Wy, self.By = nn.Embedding(ITEMS, DIM), nn.Embedding(ITEMS, 1)
        self.G = nn.ModuleList([nn.GRUCell(DIM, DIM)])

    def score(self, history):
        hidden = torch.zeros(1, DIM)
        for code in history:
            hidden = self.G[0](self.Wy(torch.tensor([code])), hidden)
        return hidden[0] @ self.Wy.weight.T + self.By.weight[:, 0]


MODELS = {
    "pmixer": lambda: Pmixer("query"),
    "pmixer-pre-ln": lambda: Pmixer("pre"),
    "pmixer-post-ln": lambda: Pmixer("post"),
    "gsasrec": GSasrec,
    "gpt2": Gpt2,
    "bert4rec": Bert4Rec,
    "gru4rec": Gru4Rec,
}


def main():
    from safetensors.numpy import save_file

    for name in sys.argv[2:] or MODELS:
        make = MODELS[name]
        # The ten best must be plain: where two scores are nearly equal, rounding decides.
        gap, seed = 0.0, 0
        while gap < 5e-6:
            model, scores, gap = draw(make, seed)
            seed += 1
        state = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
        tensors, config = export_weights.convert(name, state, HEADS)
        folder = os.path.join(sys.argv[1], name)
        items = [3 * code + 1 for code in range(ITEMS)]
        export_weights.save(folder, name, tensors, config, items)
        order = torch.argsort(scores, dim=1, descending=True, stable=True)[:, :10]
        expected = {"scores": scores[:SCORED].numpy(), "best": order.numpy().astype(np.uint8)}
        save_file(expected, os.path.join(folder, "expected.safetensors"))
        print(f"{name}: seed {seed - 1}, smallest gap {gap:.2e}, largest score {scores.max():.2f}")


def draw(make, seed):
    """A model with random weights, its scores, and the smallest gap among the ten best."""
    torch.manual_seed(seed)
    model = make().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Norms far from 1 and 0, so that what they multiply and add shows.
            parameter.copy_(torch.randn_like(parameter) * 0.3 + (parameter == 1).float())
        scores = torch.stack([model.score(history) for history in histories()])
    best = scores.sort(dim=1, descending=True).values
    return model, scores, (best[:, :10] - best[:, 1:11]).min().item()


if __name__ == "__main__":
    main()
