"""Turns a PyTorch checkpoint into `model.safetensors` and `manifest.json`, which Bowerbird imports.

    python export_weights.py ARCHITECTURE CHECKPOINT ITEMS OUT [--heads N]

ARCHITECTURE says whose code the checkpoint is of; it is never guessed from shapes:

    pmixer           SASRec.pytorch before `norm_first`: the query is normalized, keys and values are not
    pmixer-pre-ln    SASRec.pytorch with --norm_first
    pmixer-post-ln   SASRec.pytorch without it
    gsasrec          gSASRec-pytorch, as SASRec or as gSASRec
    gpt2             a decoder of the Hugging Face GPT2Model on item ids from 0 (weights of the whole
                     model, with or without the prefix `transformer.`)
    bert4rec         the Hugging Face BertForMaskedLM as bert4rec_repro uses it: ids from 0, then the
                     padding, then the mask; windows are padded on the left, and positions count from 1
    gru4rec          GRU4Rec_PyTorch_Official, one layer, constrained embedding

CHECKPOINT is a state dict saved by `torch.save`. ITEMS has one item per line, in the order of the
model's ids: its first line is the first item that is not padding. Needs torch, numpy, safetensors.
"""

import argparse
import json
import os

import numpy as np

PMIXER = ("pmixer", "pmixer-pre-ln", "pmixer-post-ln")


def fnv1a(items):
    """The vocabulary hash: of each item, ascending, its text and a line feed."""
    number = 0xCBF29CE484222325
    for item in items:
        for byte in str(item).encode() + b"\n":
            number = (number ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return number


def linear(out, to, weight, bias):
    out[f"{to}.weight"], out[f"{to}.bias"] = weight, bias


def pmixer(state, heads):
    words, positions = state["item_emb.weight"], state["pos_emb.weight"]
    out = {"item.weight": words[1:], "pad.weight": words[0], "position.weight": positions}
    layer = 0
    while f"attention_layers.{layer}.in_proj_weight" in state:
        attention, to = f"attention_layers.{layer}", f"layer.{layer}"
        weights = np.split(state[f"{attention}.in_proj_weight"], 3)
        biases = np.split(state[f"{attention}.in_proj_bias"], 3)
        for name, weight, bias in zip(("query", "key", "value"), weights, biases):
            linear(out, f"{to}.{name}", weight, bias)
        projection = f"{attention}.out_proj"
        linear(out, f"{to}.out", state[f"{projection}.weight"], state[f"{projection}.bias"])
        for name, norm in (("attention_norm", "attention"), ("ffn_norm", "forward")):
            norm = f"{norm}_layernorms.{layer}"
            linear(out, f"{to}.{name}", state[f"{norm}.weight"], state[f"{norm}.bias"])
        for name, conv in (("ffn_in", "conv1"), ("ffn_out", "conv2")):
            conv = f"forward_layers.{layer}.{conv}"
            linear(out, f"{to}.{name}", state[f"{conv}.weight"][:, :, 0], state[f"{conv}.bias"])
        layer += 1
    linear(out, "final_norm", state["last_layernorm.weight"], state["last_layernorm.bias"])
    return out, {"layers": layer, "heads": heads}


def gsasrec(state, heads):
    # Ids count from 1; row 0 is nobody, the last row is the padding, which is masked.
    out = {"item.weight": state["item_embedding.weight"][1:-1]}
    out["position.weight"] = state["position_embedding.weight"]
    if "output_embedding.weight" in state:
        out["output.weight"] = state["output_embedding.weight"][1:-1]
    names = (
        ("attention_norm", "first_norm"),
        ("ffn_norm", "second_norm"),
        ("query", "multihead_attention.query_proj"),
        ("key", "multihead_attention.key_proj"),
        ("value", "multihead_attention.val_proj"),
        ("ffn_in", "dense1"),
        ("ffn_out", "dense2"),
    )
    layer = 0
    while f"transformer_blocks.{layer}.first_norm.weight" in state:
        for to, source in names:
            source = f"transformer_blocks.{layer}.{source}"
            linear(out, f"layer.{layer}.{to}", state[f"{source}.weight"], state[f"{source}.bias"])
        layer += 1
    linear(out, "final_norm", state["seq_norm.weight"], state["seq_norm.bias"])
    return out, {"layers": layer, "heads": heads}


def gpt2(state, heads):
    state = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
    out = {"item.weight": state["wte.weight"], "position.weight": state["wpe.weight"]}
    layer = 0
    while f"h.{layer}.ln_1.weight" in state:
        block, to = f"h.{layer}", f"layer.{layer}"
        # Conv1D has its weights as [in, out].
        weights = np.split(state[f"{block}.attn.c_attn.weight"].T, 3)
        biases = np.split(state[f"{block}.attn.c_attn.bias"], 3)
        for name, weight, bias in zip(("query", "key", "value"), weights, biases):
            linear(out, f"{to}.{name}", weight, bias)
        for name, source in (("out", "attn.c_proj"), ("ffn_in", "mlp.c_fc"), ("ffn_out", "mlp.c_proj")):
            source = f"{block}.{source}"
            linear(out, f"{to}.{name}", state[f"{source}.weight"].T, state[f"{source}.bias"])
        for name, source in (("attention_norm", "ln_1"), ("ffn_norm", "ln_2")):
            source = f"{block}.{source}"
            linear(out, f"{to}.{name}", state[f"{source}.weight"], state[f"{source}.bias"])
        layer += 1
    linear(out, "final_norm", state["ln_f.weight"], state["ln_f.bias"])
    return out, {"layers": layer, "heads": heads}


def bert4rec(state, heads):
    embeddings = "bert.embeddings"
    words = state[f"{embeddings}.word_embeddings.weight"]
    out = {"item.weight": words[:-2], "pad.weight": words[-2], "mask.weight": words[-1]}
    # Every token is of type 0.
    kind = state[f"{embeddings}.token_type_embeddings.weight"][0]
    out["position.weight"] = state[f"{embeddings}.position_embeddings.weight"] + kind
    norm = f"{embeddings}.LayerNorm"
    linear(out, "embedding_norm", state[f"{norm}.weight"], state[f"{norm}.bias"])
    names = (
        ("query", "attention.self.query"),
        ("key", "attention.self.key"),
        ("value", "attention.self.value"),
        ("out", "attention.output.dense"),
        ("attention_norm", "attention.output.LayerNorm"),
        ("ffn_in", "intermediate.dense"),
        ("ffn_out", "output.dense"),
        ("ffn_norm", "output.LayerNorm"),
    )
    layer = 0
    while f"bert.encoder.layer.{layer}.output.dense.weight" in state:
        for to, source in names:
            source = f"bert.encoder.layer.{layer}.{source}"
            linear(out, f"layer.{layer}.{to}", state[f"{source}.weight"], state[f"{source}.bias"])
        layer += 1
    head = "cls.predictions.transform"
    linear(out, "head", state[f"{head}.dense.weight"], state[f"{head}.dense.bias"])
    linear(out, "head_norm", state[f"{head}.LayerNorm.weight"], state[f"{head}.LayerNorm.bias"])
    out["output.bias"] = state["cls.predictions.bias"][:-2]
    return out, {"layers": layer, "heads": heads}


def gru4rec(state, _):
    if "G.1.weight_ih" in state:
        raise SystemExit("gru4rec: only models of one layer can be exported")
    if "GE.Wx0.weight" in state or "E.weight" in state:
        raise SystemExit("gru4rec: only a constrained embedding can be exported")
    out = {"output.weight": state["Wy.weight"], "output.bias": state["By.weight"][:, 0]}
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        out[f"gru.{name}"] = state[f"G.0.{name}"]
    return out, {}


def convert(architecture, state, heads=1):
    """Tensors by Bowerbird's names, and the configuration."""
    state = {name: np.asarray(tensor, dtype=np.float32) for name, tensor in state.items()}
    to = pmixer if architecture in PMIXER else globals()[architecture]
    tensors, config = to(state, heads)
    if architecture in ("pmixer-pre-ln", "pmixer-post-ln"):
        # Padding is at position 0 wherever it is; items are multiplied by the root, positions not.
        root = tensors["pad.weight"].shape[0] ** 0.5
        tensors["pad.weight"] = tensors["pad.weight"] + tensors["position.weight"][0] / root
    if architecture != "gru4rec":
        config["max_len"] = tensors["position.weight"].shape[0]
        if architecture in ("pmixer-pre-ln", "pmixer-post-ln", "bert4rec"):
            # Positions count from 1; row 0 goes with the padding, where there is one.
            config["max_len"] -= 1
        config["ffn"] = tensors["layer.0.ffn_in.weight"].shape[0]
    config["dim"] = rows(tensors).shape[1]
    return tensors, config


def rows(tensors):
    return tensors.get("item.weight", tensors.get("output.weight"))


def save(folder, architecture, tensors, config, items):
    """Writes both files. Bowerbird's codes ascend by key, so rows of items are put in that order."""
    from safetensors.numpy import save_file

    numbers = all(str(item).isdigit() for item in items)
    key = (lambda at: int(items[at])) if numbers else (lambda at: str(items[at]).encode())
    order = sorted(range(len(items)), key=key)
    if len(items) != rows(tensors).shape[0]:
        raise SystemExit(f"{len(items)} items, but {rows(tensors).shape[0]} rows")
    for name in ("item.weight", "output.weight", "output.bias"):
        if name in tensors:
            tensors[name] = tensors[name][order]
    items = [int(items[at]) if numbers else str(items[at]) for at in order]
    os.makedirs(folder, exist_ok=True)
    plain = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(plain, os.path.join(folder, "model.safetensors"))
    manifest = {
        "format": 1,
        "architecture": architecture,
        "config": config,
        "vocabulary_hash": f"{fnv1a(items):016x}",
        "items": items,
    }
    with open(os.path.join(folder, "manifest.json"), "w") as out:
        json.dump(manifest, out)


def main():
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = PMIXER + ("gsasrec", "gpt2", "bert4rec", "gru4rec")
    parser.add_argument("architecture", choices=names)
    parser.add_argument("checkpoint")
    parser.add_argument("items")
    parser.add_argument("out")
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--max-len", type=int, help="the window that the model was trained with")
    args = parser.parse_args()
    state = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    state = {name: tensor.float().numpy() for name, tensor in state.items() if tensor.dim() > 0}
    with open(args.items) as lines:
        items = [line.strip() for line in lines if line.strip()]
    tensors, config = convert(args.architecture, state, args.heads)
    if args.max_len:
        config["max_len"] = args.max_len
    save(args.out, args.architecture, tensors, config, items)


if __name__ == "__main__":
    main()
