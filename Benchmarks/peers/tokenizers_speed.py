"""Encodes every text of a JSON file of records with Hugging Face's tokenizers on one thread.

    TOKENIZERS_PARALLELISM=false python tokenizers_speed.py TOKENIZER.json RECORDS.json(l) [ROUNDS]

Prints one JSON object: bytes, ids and user seconds a round (the best), MB/s, and a checksum of the
ids that Osler's must equal.
"""
import json
import os
import resource
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import tokenizers  # noqa: E402


def user():
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def main():
    start = user()
    tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
    load = user() - start
    content = open(sys.argv[2]).read()
    records = json.loads(content) if content.startswith("[") else [json.loads(l) for l in content.splitlines() if l]
    texts = [v for record in records for v in record.values() if isinstance(v, str)]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    best, ids, checksum = float("inf"), 0, 0
    for _ in range(rounds):
        start = user()
        encoded = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
        best = min(best, user() - start)
    for encoding in encoded:
        ids += len(encoding.ids)
        for i in encoding.ids:
            checksum = (checksum * 31 + i) % (1 << 32)
    size = sum(len(text.encode()) for text in texts)
    print(json.dumps({
        "tool": "tokenizers " + tokenizers.__version__, "texts": len(texts), "bytes": size,
        "ids": ids, "checksum": checksum, "load_s": round(load, 3), "user_s": round(best, 4),
        "MB_per_s": round(size / best / 1e6, 2)}))


main()
