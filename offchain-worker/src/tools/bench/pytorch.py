"""What PyTorch makes of the shape of `assay-worker bench`, in bf16, compiled and as CUDA graphs.

The argument is JSON: the device, the shape, and what to measure. The last line of the output is JSON: seconds
of a step of decoding by batch, of a prefill by tokens, and operations a second of a large product of matrices;
or why there are none. Layers are compiled once for each size, and a graph has all of them: between two
layers the GPU waits for nobody.
"""

import json
import signal
import statistics
import sys
import time


def fail(reason):
    print(json.dumps({"missing": " ".join(str(reason).split())[:300]}))
    sys.exit(0)


asked = json.loads(sys.argv[1])
# Whoever called waits for no longer.
signal.signal(signal.SIGALRM, lambda *_: fail("it took longer than %d s" % asked["limit"]))
signal.alarm(asked["limit"])

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    fail(error)

shape = asked["shape"]
device = torch.device(asked["device"])
on_gpu = device.type == "cuda"
if on_gpu and not torch.cuda.is_available():
    fail("PyTorch %s sees no GPU" % torch.__version__)
heads, kv_heads, d = shape["heads"], shape["kv_heads"], shape["head_dim"]
hidden, ff, eps = shape["hidden"], shape["intermediate"], 1e-5


def matrix(outputs, inputs):
    return torch.randn(outputs, inputs, device=device, dtype=torch.bfloat16) * inputs**-0.5


def norm(x, gamma):
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return wide.to(x.dtype) * gamma


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def projected(x, layer, cos, sin):
    """Queries, keys and values: [batch, heads, tokens, d]."""
    batch, tokens, _ = x.shape
    qkv = F.linear(norm(x, layer["input_norm"]), layer["qkv"])
    qkv = qkv.view(batch, tokens, heads + 2 * kv_heads, d).transpose(1, 2)
    q, k, v = qkv.split([heads, kv_heads, kv_heads], 1)
    return rotate(q, cos, sin), rotate(k, cos, sin), v


def rest(x, mixed, layer):
    x = x + F.linear(mixed, layer["o"])
    gate, up = F.linear(norm(x, layer["post_norm"]), layer["gate_up"]).chunk(2, -1)
    return x + F.linear(F.silu(gate) * up, layer["down"])


def decode_layer(x, layer, keys, values, position, cos, sin, mask):
    """One token of each sequence. The heads that share a key are rows of one product."""
    batch = x.shape[0]
    q, k, v = projected(x, layer, cos, sin)
    keys.index_copy_(2, position, k)
    values.index_copy_(2, position, v)
    q = q.reshape(batch, kv_heads, heads // kv_heads, d)
    mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
    return rest(x, mixed.reshape(batch, 1, heads * d), layer)


def prefill_layer(x, layer, keys, values, cos, sin):
    batch, tokens, _ = x.shape
    q, k, v = projected(x, layer, cos, sin)
    keys[:, :, :tokens].copy_(k)
    values[:, :, :tokens].copy_(v)
    shared = [part.repeat_interleave(heads // kv_heads, 1) for part in (k, v)]
    mixed = F.scaled_dot_product_attention(q, *shared, is_causal=True)
    return rest(x, mixed.transpose(1, 2).reshape(batch, tokens, heads * d), layer)


def head(x, final_norm, weights):
    return F.linear(norm(x[:, -1], final_norm), weights)


def wait():
    if on_gpu:
        torch.cuda.synchronize(device)


def median(work, times=1):
    """Seconds of one of `times` runs, of some rounds after one that does not count."""
    found = []
    for _ in range(asked["rounds"] + 1):
        wait()
        since = time.perf_counter()
        for _ in range(times):
            work()
        wait()
        found.append((time.perf_counter() - since) / times)
    return statistics.median(found[1:])


def graph(work):
    """`work` as a graph, after it was compiled."""
    if not on_gpu:
        work()
        return work
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream(device).wait_stream(stream)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        work()
    return captured.replay


def make_layer():
    return {
        "input_norm": torch.ones(hidden, device=device, dtype=torch.bfloat16),
        "qkv": matrix((heads + 2 * kv_heads) * d, hidden),
        "o": matrix(hidden, heads * d),
        "post_norm": torch.ones(hidden, device=device, dtype=torch.bfloat16),
        "gate_up": matrix(2 * ff, hidden),
        "down": matrix(hidden, ff),
    }


def make_cache(batch, length):
    size = (batch, kv_heads, length, d)
    pair = lambda: [torch.zeros(size, device=device, dtype=torch.bfloat16) for _ in range(2)]
    return [pair() for _ in range(shape["layers"])]


def angles(length):
    turns = 500_000.0 ** (-torch.arange(0, d, 2, device=device).float() / d)
    turns = torch.arange(length, device=device).float()[:, None] * turns
    return turns.cos().to(torch.bfloat16), turns.sin().to(torch.bfloat16)


def decode(model, batch):
    torch._dynamo.reset()
    run, last = (torch.compile(f, dynamic=False) for f in (decode_layer, head))
    steps, begin = asked["steps"], asked["context"]
    length = begin + (asked["rounds"] + 1) * steps
    cos, sin = angles(length)
    cache, places = make_cache(batch, length), torch.arange(length, device=device)
    position = torch.tensor([begin], device=device)
    token = torch.randint(0, shape["vocabulary"], (batch, 1), device=device)

    def step():
        x = F.embedding(token, model["embedding"])
        mask = (places <= position)[None, None, None]
        at = cos[position], sin[position]
        for layer, (keys, values) in zip(model["layers"], cache):
            x = run(x, layer, keys, values, position, *at, mask)
        logits = last(x, model["final_norm"], model["head"])
        position.add_(1)
        return logits

    # What is run to compile and to capture begins there as well.
    replay = graph(step)
    position.fill_(begin)
    return median(replay, steps)


def prefill(model, tokens):
    torch._dynamo.reset()
    run, last = (torch.compile(f, dynamic=False) for f in (prefill_layer, head))
    cos, sin = angles(tokens)
    cache = make_cache(1, tokens)
    prompt = torch.randint(0, shape["vocabulary"], (1, tokens), device=device)

    def read():
        x = F.embedding(prompt, model["embedding"])
        for layer, (keys, values) in zip(model["layers"], cache):
            x = run(x, layer, keys, values, cos, sin)
        return last(x, model["final_norm"], model["head"])

    return median(graph(read))


def product(size):
    """Operations a second of a product of square matrices."""
    a, b = matrix(size, size), matrix(size, size)
    return 2 * size**3 / median(lambda: a @ b, 10)


@torch.no_grad()
def measure():
    found = {"torch": torch.__version__, "product": product(asked["product"])}
    model = {
        "embedding": matrix(shape["vocabulary"], hidden),
        "layers": [make_layer() for _ in range(shape["layers"])],
        "final_norm": torch.ones(hidden, device=device, dtype=torch.bfloat16),
        "head": matrix(shape["vocabulary"], hidden),
    }
    found["decode"] = [[batch, decode(model, batch)] for batch in asked["batches"]]
    found["prefill"] = [[tokens, prefill(model, tokens)] for tokens in asked["prefills"]]
    return found


try:
    print(json.dumps(measure()))
except Exception as error:
    fail("%s: %s" % (type(error).__name__, error))
