"""llama.cpp's speed on one file: JSON {"prompt_tokens_per_second", "decode_tokens_per_second", "weight_bytes"}.
Usage: llama_speed.py MODEL.gguf PROMPT_FILE NEW_TOKENS THREADS. Needs llama-cpp-python, numpy and gguf."""
import ctypes
import json
import sys
import time

import gguf
import llama_cpp
import numpy

path, prompt_file, count, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
model = llama_cpp.Llama(path, n_ctx=2048, n_batch=512, n_ubatch=512, n_threads=threads,
                        n_threads_batch=threads, verbose=False)
context = model.ctx
prompt = model.tokenize(open(prompt_file, "rb").read(), add_bos=False)
vocabulary = model.n_vocab()


def decode(tokens):
    ids = (llama_cpp.llama_token * len(tokens))(*tokens)
    assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(ids, len(tokens))) == 0
    # Waits for the result.
    logits = llama_cpp.llama_get_logits_ith(context, -1)
    return int(numpy.argmax(numpy.ctypeslib.as_array(logits, shape=(vocabulary,))))


best = [0.0, 0.0]
for _ in range(2):
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    start = time.perf_counter()
    token = decode(prompt)
    middle = time.perf_counter()
    for _ in range(count):
        token = decode([token])
    end = time.perf_counter()
    best = [max(best[0], len(prompt) / (middle - start)), max(best[1], count / (end - middle))]
size = sum(int(t.n_bytes) for t in gguf.GGUFReader(path).tensors)
print(json.dumps({"prompt_tokens": len(prompt), "prompt_tokens_per_second": best[0],
                  "decode_tokens_per_second": best[1], "weight_bytes": size}))
