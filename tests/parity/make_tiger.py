"""Real T5 models of random weights as generative recommenders, and what they say.

    python tests/parity/make_tiger.py OUT [NAME...]

needs torch, transformers, numpy and safetensors. Writes per model a folder with the exported weights
(as f16, which is what the model is run with), `manifest.json`, and `expected.safetensors`:

    items       u16 [ITEMS, levels]  the semantic ID of each item, each once
    lengths     u16 [USERS]          items of each history; user `u` is number 7919 * u
    histories   u16 [sum]            items, oldest first, end to end; some are longer than is read
    best        u16 [USERS, 10]      the best items of all, by the sum of the log-probabilities of their
                                     codes, each item scored on its own
    generated   u16 [SEARCHED, 10]   those of `generate`: beams that may only be items
    steps       f32                  for each of the first STEPPED users and each level, the
                                     log-probabilities of the level's codes, in the first level once and
                                     then after the codes of each of the first PATHS items
"""

import os
import sys

import numpy as np
import torch
from transformers import T5Config, T5ForConditionalGeneration

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../examples/export"))
import export_tiger  # noqa: E402

ITEMS, USERS, SEARCHED, STEPPED, PATHS, BEAMS = 300, 500, 60, 20, 5, 50


def murmur3(text):
    """MurmurHash3 of 32 bits, signed, as the package `murmurhash` gives it."""
    mask, turn = 0xFFFFFFFF, lambda x, by: (x << by | x >> 32 - by) & 0xFFFFFFFF
    mix = lambda block: turn(block * 0xCC9E2D51 & mask, 15) * 0x1B873593 & mask
    data, h = text.encode(), 0
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        h = (turn(h ^ mix(int.from_bytes(data[at : at + 4], "little")), 13) * 5 + 0xE6546B64) & mask
    h ^= mix(int.from_bytes(data[whole:], "little")) ^ len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & mask
    h = (h ^ h >> 13) * 0xC2B2AE35 & mask
    h ^= h >> 16
    return h - (1 << 32) if h >> 31 else h


def open_tiger():
    """As modeling/models/tiger.py of NonameUntitled/tiger makes it, on transformers 4: not tied."""
    width, levels, users = 12, 4, 20
    model = {
        "embedding_dim": 24, "codebook_size": width, "user_ids_count": users, "num_heads": 4, "d_kv": 8,
        "num_encoder_layers": 2, "num_decoder_layers": 3, "dim_feedforward": 40, "activation": "relu",
        "layer_norm_eps": 1e-6,
    }  # fmt: skip
    vocab = width * levels + users + 10
    config = T5Config(
        vocab_size=vocab, d_model=24, d_kv=8, d_ff=40, num_layers=2, num_decoder_layers=3, num_heads=4,
        pad_token_id=vocab - 1, eos_token_id=vocab - 2, decoder_start_token_id=vocab - 3,
        layer_norm_epsilon=1e-6, feed_forward_proj="relu", tie_word_embeddings=False,
    )  # fmt: skip
    data = {"num_codebooks": levels, "max_sequence_length": 21}

    def tokens(ids, user):
        out = [code + width * level for one in ids[-20:] for level, code in enumerate(one)]
        return out + [width * levels + murmur3(str(user)) % users]

    return config, lambda tensors: export_tiger.open_tiger(tensors, {"model": model, "dataset": data}), tokens


def tied():
    """T5 as it was first published: tied, scaled, padding starts the decoder, `eos` ends a history."""
    config = T5Config(
        vocab_size=75, d_model=20, d_kv=6, d_ff=32, num_layers=2, num_decoder_layers=2, num_heads=3,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, layer_norm_epsilon=1e-5,
        relative_attention_num_buckets=12, relative_attention_max_distance=20, feed_forward_proj="relu",
    )  # fmt: skip
    first, widths = [3, 12, 40], [9, 28, 35]
    said = {"widths": widths, "first": first, "start": 0, "users": None, "append_eos": True, "max_items": 15}

    def tokens(ids, _):
        return [code + first[level] for one in ids[-15:] for level, code in enumerate(one)] + [1]

    return config, lambda _: export_tiger.of_transformers(config, said), tokens


def gated():
    """T5 1.1: gated, not scaled; levels share tokens, users come first, nothing reads as padding."""
    config = T5Config(
        vocab_size=50, d_model=16, d_kv=10, d_ff=24, num_layers=3, num_decoder_layers=2, num_heads=2,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=2, layer_norm_epsilon=1e-6,
        relative_attention_num_buckets=32, relative_attention_max_distance=64,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False,
    )  # fmt: skip
    said = {
        "widths": [10, 30, 10], "first": [5, 5, 30], "start": 2, "append_eos": False, "max_items": 40,
        "users": {"first": 40, "count": 10, "hash": "modulo", "place": "first"},
    }  # fmt: skip

    def tokens(ids, user):
        out = [code + said["first"][level] for one in ids[-40:] for level, code in enumerate(one)]
        return [40 + user % 10] + out

    return config, lambda _: export_tiger.of_transformers(config, said), tokens


MODELS = {"open": open_tiger, "tied": tied, "gated": gated}


def build(config, untied, seed):
    """The model, its weights those that f16 can hold: large enough that codes differ clearly."""
    torch.manual_seed(seed)
    model = T5ForConditionalGeneration(config).eval()
    if untied:
        # transformers 5 ties whatever it is asked for; 4 did not.
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "layer_norm" in name:
                tensor.copy_(1 + torch.randn_like(tensor) * 0.2)
            elif "relative_attention_bias" in name:
                tensor.copy_(torch.randn_like(tensor))
            tensor.copy_(tensor.half().float())
    assert (model.lm_head.weight is model.shared.weight) != untied
    return model


def draw(widths, lengths_max, seed):
    """Items, each ID once, and histories."""
    random = np.random.default_rng(seed)
    ids = set()
    while len(ids) < ITEMS:
        ids.add(tuple(int(random.integers(width)) for width in widths))
    ids = sorted(ids)
    random.shuffle(ids)
    lengths = [user % (lengths_max + 1) for user in range(USERS)]
    return ids, [random.integers(ITEMS, size=length).tolist() for length in lengths]


@torch.no_grad()
def scores(model, tokens, ids, manifest):
    """Log-probabilities of each item's codes over the whole vocabulary: [items, levels, vocab]."""
    states = model.encoder(input_ids=torch.tensor([tokens])).last_hidden_state
    first = torch.tensor(manifest["first"])
    read = torch.cat([torch.full((len(ids), 1), manifest["start"]), ids[:, :-1] + first[:-1]], 1)
    states = (states.expand(len(ids), -1, -1),)
    logits = model(encoder_outputs=states, decoder_input_ids=read, use_cache=False).logits
    return torch.log_softmax(logits, -1)


@torch.no_grad()
def generated(model, tokens, ids, manifest):
    paths = (ids + torch.tensor(manifest["first"])).tolist()
    start = manifest["start"]

    def allowed(_, so_far):
        so_far = so_far.tolist()[1:]
        return sorted({path[len(so_far)] for path in paths if path[: len(so_far)] == so_far})

    out = model.generate(
        input_ids=torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens), dtype=torch.long),
        num_beams=BEAMS, num_return_sequences=10, max_length=len(paths[0]) + 1, do_sample=False,
        early_stopping=False, decoder_start_token_id=start, prefix_allowed_tokens_fn=allowed, use_cache=False,
    )  # fmt: skip
    return [paths.index(path) for path in out[:, 1:].tolist()]


def make(folder, name, seed=11):
    config, manifest, tokens = MODELS[name]()
    model = build(config, name == "open", seed)
    state = {name: tensor.half().numpy() for name, tensor in model.state_dict().items()}
    tensors, is_tied = export_tiger.convert(state)
    manifest = manifest(tensors)
    export_tiger.save(folder, tensors, manifest, is_tied)
    items, histories = draw(manifest["widths"], manifest["max_items"] + 5, seed)
    ids, levels = torch.tensor(items), len(manifest["widths"])
    best, searched, steps, gap = [], [], [], np.inf
    for user, history in enumerate(histories):
        read = tokens([items[item] for item in history], 7919 * user) or [manifest["pad"]]
        said = scores(model, read, ids, manifest)
        chosen = (ids + torch.tensor(manifest["first"])).unsqueeze(-1)
        order = said.gather(-1, chosen).squeeze(-1).double().sum(-1).sort(descending=True, stable=True)
        gap = min(gap, (order.values[:10] - order.values[1:11]).min().item())
        best.append(order.indices[:10].numpy())
        if user < STEPPED:
            for level, (first, width) in enumerate(zip(manifest["first"], manifest["widths"])):
                paths = 1 if level == 0 else PATHS
                steps.append(said[:paths, level, first : first + width].reshape(-1).numpy())
        if user < SEARCHED:
            searched.append(generated(model, read, ids, manifest))
    small = lambda numbers: np.asarray(numbers, dtype=np.uint16)
    from safetensors.numpy import save_file

    expected = {
        "items": small(items), "lengths": small([len(one) for one in histories]),
        "histories": small(np.concatenate(histories).astype(int)), "best": small(best),
        "generated": small(searched), "steps": np.concatenate(steps),
    }  # fmt: skip
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    # Closer than rounding can tell apart: another seed would be needed.
    assert gap > 2e-5, f"{name}: two of the best are {gap} apart"
    print(f"{name}: {levels} levels, {len(steps)} steps; neighbours among the best are {gap:.1e} apart or more")


if __name__ == "__main__":
    # The models are tiny: threads would only wait for each other.
    torch.set_num_threads(1)
    for name in sys.argv[2:] or MODELS:
        make(os.path.join(sys.argv[1], name), name)
