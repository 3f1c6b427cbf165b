"""The two ceilings as PyTorch reaches them: copying within the card's memory, and a large bfloat16 product. Prints one JSON
object. Scripts/gpu-check takes the higher of these and Osler's own, so that no choice of Osler's flatters a share."""
import json, sys

try:
    import torch
except ImportError:
    sys.exit("this Python has no torch")
if not torch.cuda.is_available():
    sys.exit("this Python's torch sees no GPU")


def seconds(body, count=20):
    """The best of five rounds."""
    body()
    best = float("inf")
    for _ in range(5):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(count):
            body()
        end.record()
        torch.cuda.synchronize()
        best = min(best, begin.elapsed_time(end) / 1000 / count)
    return best


source = torch.zeros(256 << 20, dtype=torch.uint8, device="cuda")
target = torch.empty_like(source)
copy = 2 * source.numel() / seconds(lambda: target.copy_(source))
product = 0
for size in (4096, 8192):
    a, b = (torch.randn(size, size, device="cuda").bfloat16() for _ in range(2))
    out = torch.empty_like(a)
    product = max(product, 2 * size ** 3 / seconds(lambda: torch.matmul(a, b.T, out=out)))
print(json.dumps({"torch": torch.__version__, "card": torch.cuda.get_device_name(0), "bytes_per_second": copy,
                  "flops_per_second": product}))
