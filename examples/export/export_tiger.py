"""Writes model.safetensors and manifest.json, which `Tiger::import` reads, from a generative
recommender that is a Hugging Face T5ForConditionalGeneration inside.

    python export_tiger.py open CHECKPOINT TRAIN_CONFIG OUT
    python export_tiger.py transformers FOLDER OUT --widths 256,256,256 --first 3,259,515 \\
        --start 0 --max-items 20 [--append-eos] [--users FIRST,COUNT,HASH,PLACE]

`open` is the open TIGER (NonameUntitled/tiger): CHECKPOINT is the state dict that its trainer saved,
TRAIN_CONFIG its tiger_train_config.json. Tokens are the codes of level 0, those of level 1, and so on,
then the users, then ten of its own, of which the last three are start, end and padding; the token of
the user ends a history of at most one item less than `max_sequence_length`, which counts the target.

`transformers` is a folder that `save_pretrained` wrote; what its tokens mean is said on the command
line: codes of each level, the token of each level's code 0, what the decoder reads first. HASH is
`modulo` or `murmur3`, PLACE is `first` or `last`.

Needs torch, numpy, safetensors; `transformers` needs transformers as well.
"""

import argparse
import json
import os

import numpy as np

# Tensors that are another one under a second name.
TWINS = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")


def convert(state):
    """Tensors as `Tiger::import` wants them, and whether the head is the table of tokens."""
    tensors = {name.removeprefix("model."): np.asarray(tensor) for name, tensor in state.items()}
    table = tensors["shared.weight"]
    for twin in TWINS:
        if twin in tensors and not np.array_equal(tensors.pop(twin), table):
            raise SystemExit(f"{twin} is not shared.weight: encoder and decoder must share tokens")
    head = tensors.pop("lm_head.weight", table)
    tied = np.array_equal(head, table)
    if not tied:
        tensors["lm_head.weight"] = head
    return tensors, tied


def activation(name):
    if name not in ("relu", "gated-gelu"):
        raise SystemExit(f"feed-forward networks of {name!r} are not known; relu and gated-gelu are")
    return name


def open_tiger(tensors, config):
    """The configuration that modeling/models/tiger.py makes of its options."""
    model, data = config["model"], config["dataset"]
    levels, width, users = data["num_codebooks"], model["codebook_size"], model["user_ids_count"]
    vocab = levels * width + users + 10
    if tensors["shared.weight"].shape[0] != vocab:
        raise SystemExit(f"{tensors['shared.weight'].shape[0]} tokens, but the configuration makes {vocab}")
    return {
        "d_model": model["embedding_dim"],
        "d_kv": model["d_kv"],
        "heads": model["num_heads"],
        "layers": model["num_encoder_layers"],
        "decoder_layers": model["num_decoder_layers"],
        "d_ff": model["dim_feedforward"],
        "activation": activation(model["activation"]),
        "eps": model["layer_norm_eps"],
        # What T5Config says where nobody says anything.
        "buckets": 32,
        "max_distance": 128,
        # It asks for tables that are not tied, and so for scores as they are. transformers 5 ties
        # them all the same, so whether they are is seen from the tensors.
        "scale_outputs": False,
        "vocab": vocab,
        "widths": [width] * levels,
        "first": [level * width for level in range(levels)],
        "pad": vocab - 1,
        "eos": vocab - 2,
        "start": vocab - 3,
        "users": {"first": levels * width, "count": users, "hash": "murmur3", "place": "last"},
        "append_eos": False,
        "max_items": data["max_sequence_length"] - 1,
    }


def of_transformers(config, tokens):
    """The configuration of a T5Config, and what its tokens mean."""
    # Before transformers 5, scores were scaled where the tables were tied.
    scaled = getattr(config, "scale_decoder_outputs", config.tie_word_embeddings)
    return {
        "d_model": config.d_model,
        "d_kv": config.d_kv,
        "heads": config.num_heads,
        "layers": config.num_layers,
        "decoder_layers": config.num_decoder_layers,
        "d_ff": config.d_ff,
        "activation": activation(config.feed_forward_proj),
        "eps": config.layer_norm_epsilon,
        "buckets": config.relative_attention_num_buckets,
        "max_distance": config.relative_attention_max_distance,
        "scale_outputs": bool(scaled),
        "vocab": config.vocab_size,
        "pad": config.pad_token_id,
        "eos": config.eos_token_id,
        **tokens,
    }


def save(folder, tensors, config, tied):
    """Writes both files."""
    from safetensors.numpy import save_file

    os.makedirs(folder, exist_ok=True)
    plain = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(plain, os.path.join(folder, "model.safetensors"))
    manifest = {"format": 1, "architecture": "tiger-t5", "config": {**config, "tied": tied}}
    with open(os.path.join(folder, "manifest.json"), "w") as out:
        json.dump(manifest, out, indent=1)


def users(text):
    first, count, how, place = text.split(",")
    return {"first": int(first), "count": int(count), "hash": how, "place": place}


def numbers(text):
    return [int(number) for number in text.split(",")]


def main():
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("open")
    for name in ("checkpoint", "train_config", "out"):
        one.add_argument(name)
    other = kinds.add_parser("transformers")
    for name in ("folder", "out"):
        other.add_argument(name)
    other.add_argument("--widths", type=numbers, required=True)
    other.add_argument("--first", type=numbers, required=True)
    other.add_argument("--start", type=int, required=True)
    other.add_argument("--max-items", type=int, required=True)
    other.add_argument("--append-eos", action="store_true")
    other.add_argument("--users", type=users)
    args = parser.parse_args()
    if args.kind == "open":
        state = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
        tensors, tied = convert({name: tensor.float().numpy() for name, tensor in state.items()})
        with open(args.train_config) as text:
            config = open_tiger(tensors, json.load(text))
    else:
        from transformers import T5ForConditionalGeneration

        model = T5ForConditionalGeneration.from_pretrained(args.folder, dtype=torch.float32)
        state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        tensors, tied = convert(state)
        names = ("widths", "first", "start", "users", "append_eos", "max_items")
        config = of_transformers(model.config, {name: getattr(args, name) for name in names})
    save(args.out, tensors, config, tied)


if __name__ == "__main__":
    main()
