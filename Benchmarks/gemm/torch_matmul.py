"""PyTorch's bfloat16 matrix products (oneDNN on a CPU) in the shapes of gemm.c. Prints one JSON object a line.

    torch_matmul.py [ROWS ...]
"""
import json, os, sys, time

import torch

SHAPES = {
    "smollm2-135m q": (576, 576), "smollm2-135m kv": (192, 576), "smollm2-135m up": (1536, 576),
    "smollm2-135m down": (576, 1536), "smollm2-135m head": (49152, 576), "qwen2-1.5b q": (1536, 1536),
    "qwen2-1.5b up": (8960, 1536), "qwen2-1.5b down": (1536, 8960), "llama-8b q": (4096, 4096),
    "llama-8b up": (14336, 4096), "llama-8b down": (4096, 14336)}
torch.set_num_threads(int(os.environ.get("THREADS", os.cpu_count())))
torch.manual_seed(0)
for rows in [int(a) for a in sys.argv[1:]] or [256, 1024]:
    for name, (out, width) in SHAPES.items():
        if os.environ.get("SHAPE", "") not in name:
            continue
        weight = torch.randn(out, width).bfloat16()
        for direction in ["forward", "backward"]:
            x = torch.randn(rows, width if direction == "forward" else out).bfloat16()
            other = weight.t() if direction == "forward" else weight
            best, total, runs = 1e9, 0.0, 0
            while runs < 5 or (total < 0.3 and runs < 1000):
                start = time.perf_counter()
                x @ other
                seconds = time.perf_counter() - start
                best, total, runs = min(best, seconds), total + seconds, runs + 1
            print(json.dumps({"shape": name, "rows": rows, "direction": direction,
                              "gflops": round(2e-9 * rows * out * width / best, 1)}), flush=True)
