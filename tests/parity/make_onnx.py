"""Rankers that this crate exported, as ONNX.

    python tests/parity/make_onnx.py tests/fixtures/onnx

needs numpy, onnx and onnxruntime. For each NAME.json and NAME.safetensors of the folder, which
`RankModel::export` wrote (the ignored test `rankers_are_exported` of tests/suite/onnx.rs calls it), it
writes NAME.onnx: the same ranker, built here from the manifest alone, and checked with onnxruntime to load
and to say finite scores. Also `wrong/`: models whose inputs or outputs are not what they should be.
"""

import json
import os
import struct
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 17, 9
FLOAT = TensorProto.FLOAT


def tensors(path):
    data = open(path, "rb").read()
    (long,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + long]), data[8 + long :]
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(body[slice(*at["data_offsets"])], np.float32).reshape(at["shape"])
        for name, at in header.items()
    }


class Graph:
    def __init__(self):
        self.nodes, self.constants, self.inputs = [], [], []

    def input(self, name, shape, dtype=FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def constant(self, value, name=None):
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, kind, *inputs, to=None, **attributes):
        to = to or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [to], **attributes))
        return to

    def model(self, outputs=(("scores", FLOAT, ["N"]),)):
        outputs = [helper.make_tensor_value_info(*output) for output in outputs]
        graph = helper.make_graph(self.nodes, "ranker", self.inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version, model.producer_name = IR, ""
        onnx.checker.check_model(model)
        return model


def ranker(manifest, weights):
    g = Graph()
    w = {name: g.constant(value, name) for name, value in weights.items()}
    features, dims, p = manifest["features"], manifest["dims"], manifest["width"]
    (kind, body), = manifest["body"].items()

    # Vectors of a space share its projection; spaces are numbered as they first come.
    names = {
        "context": [slot["space"] for slot in features["context"]],
        "items": features["items"],
        "history": [features["history"][0]] if features["history"] else [],
    }
    spaces = list(dict.fromkeys(names["context"] + names["items"] + names["history"]))

    def projection(inputs, at):
        return w[f"space.{spaces.index(names[inputs][at])}.weight"]

    def flag(present, at):
        one = g.op("Gather", present, g.constant(np.array([at], np.int64)), axis=1)
        return g.op("Greater", one, g.constant(np.float32(0.5)))

    def vectors(room, inputs, present):
        rows = []
        for at, dim in enumerate(dims[inputs.split("_")[0]]):
            x = g.op("MatMul", g.input(f"{inputs}_{at}", ["N", dim]), projection(inputs, at))
            rows.append(g.op("Where", flag(present, at), x, w[f"{room}.{at}.null"]))
        return rows

    whole = []
    if len(features["tasks"]) > 1:
        tasks = g.input("tasks", ["N"], TensorProto.INT64)
        whole.append(g.op("Gather", w["task"], tasks, axis=0))
    context_present = g.input("context_present", ["N", len(dims["context"])])
    items_present = g.input("items_present", ["N", len(dims["items"])])
    context = vectors("context", "context", context_present)
    items = vectors("item", "items", items_present)
    whole += context + [context_present] + items
    if kind != "Dcn":
        whole += [g.op("Mul", c, i) for c in context for i in items]
    if kind == "Attention":
        found = attention(g, w, manifest, body["heads"], (items[0], projection("history", 0)))
        whole += [found, g.op("Mul", found, items[0])]
    scalars = g.input("scalars", ["N", len(features["scalars"])])
    width = len(features["scalars"])
    mean, by = (np.array(row, np.float32).reshape(-1, width) for row in zip(*manifest["scales"]))
    mean, by = g.constant(mean), g.constant(by)
    if len(manifest["scales"]) > width:  # Those of each task.
        mean, by = (g.op("Gather", rows, tasks, axis=0) for rows in (mean, by))
    scalars = g.op("Mul", g.op("Sub", scalars, mean), by)
    x = g.op("Concat", *whole, scalars, items_present, axis=1)

    h = x
    for at in range(len(body["hidden"])):
        h = g.op("Relu", g.op("Gemm", h, w[f"hidden.{at}.weight"], w[f"hidden.{at}.bias"]))
    score = g.op("Gemm", h, w["out.weight"], w["out.bias"], transB=1)
    if kind == "Dcn":
        now = x
        for layer in range(body["layers"]):
            low = g.op("MatMul", now, w[f"cross.{layer}.down"])
            high = g.op("Gemm", low, w[f"cross.{layer}.up"], w[f"cross.{layer}.bias"])
            now = g.op("Add", g.op("Mul", x, high), now)
        out = g.op("Gemm", now, w["cross.out"], transB=1)
        score = g.op("Add", score, out)
    if kind == "Mlp":  # One of the two shapes that scores may have; the others have the other.
        g.op("Squeeze", score, g.constant(np.array([1], np.int64)), to="scores")
        return g.model()
    g.op("Identity", score, to="scores")
    return g.model([("scores", FLOAT, ["N", 1])])


def attention(g, w, manifest, heads, item_and_projection):
    item, projection = item_and_projection
    p, places = manifest["width"], manifest["features"]["history"][1]
    width = p // heads
    whole = lambda *numbers: g.constant(np.array(numbers, np.int64))
    history = g.input("history", ["N", places, manifest["dims"]["history"]])
    lived = g.input("lived", ["N"])
    rows = g.op("Add", g.op("MatMul", history, projection), w["history.place"])
    split = lambda x, many: g.op(
        "Transpose", g.op("Reshape", x, whole(0, many, heads, width)), perm=[0, 2, 1, 3]
    )
    keys = split(g.op("MatMul", rows, w["attention.key"]), places)
    values = split(g.op("MatMul", rows, w["attention.value"]), places)
    query = g.op("MatMul", item, w["attention.query"])
    query = g.op("Reshape", query, whole(0, heads, 1, width))
    fits = g.op("MatMul", query, g.op("Transpose", keys, perm=[0, 1, 3, 2]))
    fits = g.op("Mul", fits, g.constant(np.float32(width**-0.5)))
    count = g.op("Reshape", lived, whole(-1, 1, 1, 1))
    filled = g.op("Less", g.constant(np.arange(places, dtype=np.float32)), count)
    fits = g.op("Where", filled, fits, g.constant(np.float32(-1e9)))
    found = g.op("MatMul", g.op("Softmax", fits, axis=-1), values)
    found = g.op("MatMul", g.op("Reshape", found, whole(0, p)), w["attention.out"])
    some = g.op("Greater", g.op("Reshape", lived, whole(-1, 1)), g.constant(np.float32(0.5)))
    return g.op("Where", some, found, w["history.null"])


def wrong():
    """Models that must be refused, or that fail when they are run, by what is wrong with them."""

    def make(inputs, outputs=(("scores", FLOAT, ["N"]),), build=None):
        g = Graph()
        names = [g.input(name, shape, dtype) for name, dtype, shape in inputs]
        if build:
            build(g, *names)
        else:
            g.op("ReduceSum", names[0], whole(g, 1), to=outputs[0][0], keepdims=0)
        return g.model(outputs)

    whole = lambda g, *numbers: g.constant(np.array(numbers, np.int64))
    yield "unknown-input", make([("prices", FLOAT, ["N", 3])])
    yield "integers", make(
        [("scalars", TensorProto.INT32, ["N", 3])],
        build=lambda g, x: g.op(
            "ReduceSum", cast(g, x), whole(g, 1), to="scores", keepdims=0
        ),
    )
    yield "axes", make(
        [("scalars", FLOAT, ["N", 3, 2])],
        build=lambda g, x: g.op("ReduceSum", x, whole(g, 1, 2), to="scores", keepdims=0),
    )
    yield "width", make([("scalars", FLOAT, ["N", 5])])
    yield "fixed", make([("scalars", FLOAT, [7, 3])], [("scores", FLOAT, [7])])
    yield "no-scores", make([("scalars", FLOAT, ["N", 3])], [("logits", FLOAT, ["N"])])
    yield "two-scores", make(
        [("scalars", FLOAT, ["N", 3])],
        [("scores", FLOAT, ["N", 3])],
        lambda g, x: g.op("Identity", x, to="scores"),
    )
    yield "dimension", make([("items_0", FLOAT, ["N", 9])])
    yield "one-for-all", make(
        [("items_0", FLOAT, ["N", "D"])],
        [("scores", FLOAT, ["M"])],
        lambda g, x: g.op("ReduceSum", x, whole(g, 0), to="scores", keepdims=0),
    )


def cast(g, x):
    to = f"value_{len(g.nodes)}"
    node = helper.make_node("Cast", [x], [to])
    node.attribute.append(helper.make_attribute("to", FLOAT))
    g.nodes.append(node)
    return to


def main(folder):
    for file in sorted(os.listdir(folder)):
        name, kind = os.path.splitext(file)
        if kind != ".json":
            continue
        manifest = json.load(open(f"{folder}/{file}"))
        model = ranker(manifest, tensors(f"{folder}/{name}.safetensors"))
        onnx.save(model, f"{folder}/{name}.onnx")
        session = onnxruntime.InferenceSession(f"{folder}/{name}.onnx")
        shapes = {x.name: [5 if a == "N" else a for a in x.shape] for x in session.get_inputs()}
        ones = {
            x.name: np.ones(shapes[x.name], np.int64 if "int64" in x.type else np.float32)
            for x in session.get_inputs()
        }
        (scores,) = session.run(["scores"], ones)
        assert scores.reshape(-1).shape == (5,) and np.isfinite(scores).all(), scores
        print(name, list(shapes), scores.reshape(-1)[0])
    os.makedirs(f"{folder}/wrong", exist_ok=True)
    for name, model in wrong():
        onnx.save(model, f"{folder}/wrong/{name}.onnx")


if __name__ == "__main__":
    main(sys.argv[1])
