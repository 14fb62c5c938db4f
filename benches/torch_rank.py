"""Milliseconds for 500 candidates in PyTorch and ONNX Runtime, one thread, to run in turns with ours:

    cargo bench --bench ranker
    python benches/torch_rank.py

The multi-layer perceptron of benches/ranker.rs, 256-128, on the vectors of a user, a query and an item, 64
numbers each: projections, products, and the first layer as two products. The median of 400 calls.
Needs torch, onnx and onnxruntime.
"""

import io
import statistics
import time

import torch
from torch import nn

DIM, WIDTH, MANY = 64, 64, 500


class Ranker(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.query, self.item = (nn.Linear(DIM, WIDTH, bias=False) for _ in range(3))
        self.of_request = nn.Linear(2 * WIDTH + 2, 256)
        self.of_item = nn.Linear(3 * WIDTH + 1, 256, bias=False)
        self.second, self.out = nn.Linear(256, 128), nn.Linear(128, 1)

    def forward(self, user, query, items):
        u, q, v = self.user(user), self.query(query), self.item(items)
        request = torch.cat([u, q, torch.ones(1, 2)], 1)
        item = torch.cat([v, u * v, q * v, torch.ones_like(v[:, :1])], 1)
        hidden = torch.relu(self.of_item(item) + self.of_request(request))
        return self.out(torch.relu(self.second(hidden)))[:, 0]


def median(call):
    for _ in range(20):
        call()
    times = []
    for _ in range(400):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = Ranker().eval()
    inputs = torch.randn(1, DIM), torch.randn(1, DIM), torch.randn(MANY, DIM)
    with torch.inference_mode():
        want = model(*inputs)
        print(f"torch {torch.__version__}: {median(lambda: model(*inputs)):.3f} ms")
    import onnxruntime

    file = io.BytesIO()
    names = ["user", "query", "items"]
    torch.onnx.export(model, inputs, file, input_names=names, output_names=["scores"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, ["CPUExecutionProvider"])
    feed = dict(zip(names, (x.numpy() for x in inputs)))
    got = torch.from_numpy(session.run(None, feed)[0])
    assert torch.allclose(got, want, atol=1e-5), (got - want).abs().max()
    ms = median(lambda: session.run(None, feed))
    print(f"onnxruntime {onnxruntime.__version__}: {ms:.3f} ms")


if __name__ == "__main__":
    main()
