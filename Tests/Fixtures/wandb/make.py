"""Writes run.wandb.gz and rows.json: an offline run of the real client (wandb 0.31.0), larger than a block of its log.

    python make.py        in an empty folder, with wandb installed
"""
import glob, gzip, json, os

import wandb

settings = wandb.Settings(console="off", x_disable_stats=True, x_disable_meta=True, x_save_requirements=False)
config = {"learning_rate": 2e-4, "unicode": "患者 é", "long": "ab" * 35_000, "lora": {"r": 8}, "note": None}
run = wandb.init(mode="offline", id="real0001", project="fixture", name="real run", config=config, settings=settings)
run.define_metric("train/global_step")
run.define_metric("*", step_metric="train/global_step", step_sync=True)
rows = [{"train/loss": 3 / (i + 1), "train/global_step": i + 1, "text": "x" * (i * 997 % 4000)} for i in range(40)]
for row in rows:
    run.log(row)
run.finish(exit_code=3)
wandb.teardown()  # the file is complete only then
path, = glob.glob("wandb/offline-run-*/run-*.wandb")
with open(path, "rb") as file, open("run.wandb.gz", "wb") as out:
    out.write(gzip.compress(file.read(), mtime=0))
with open("rows.json", "w") as out:
    numbers = [{k: v for k, v in row.items() if k != "text"} for row in rows]
    json.dump({"wandb": wandb.__version__, "rows": numbers}, out)
