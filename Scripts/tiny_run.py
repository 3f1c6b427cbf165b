"""A training run of a few seconds for the checks beside this file: the tiny model of Tests/Fixtures and 40 made-up rows."""
import json, os, shutil, signal, subprocess, sys, tempfile, time
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "Tests/Fixtures/lora"


class TinyRun:
    def __init__(self, report_to, **environment):
        self.osler = str(Path(sys.argv[1] if len(sys.argv) > 1 else ".build/release/osler").resolve())
        self.path = Path(tempfile.mkdtemp(prefix="osler-check-"))
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")} | environment
        (self.path / "model").mkdir()
        for name in ("base/config.json", "base/model.safetensors", "tokenizer/tokenizer.json",
                     "tokenizer/tokenizer_config.json", "tokenizer/chat_template.jinja"):
            shutil.copy(FIXTURES / name, self.path / "model")
        rows = [{"Question": f"What does sign {i} mean?", "Complex_CoT": f"It is sign {i}.", "Response": f"Rest {i}."}
                for i in range(40)]
        (self.path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (self.path / "run.yaml").write_text(json.dumps({
            "base_model_name": str(self.path / "model"), "dataset_name": str(self.path / "rows.jsonl"),
            "logging_steps": 1, "eval_strategy": "steps", "eval_steps": 10, "save_steps": 20,
            "per_device_train_batch_size": 2, "learning_rate": 1e-3, "target_modules": "all-linear",
            "report_to": report_to, "threads": 1}))

    def start(self, output, *more):
        return subprocess.Popen([self.osler, "train", "run.yaml", f"output_dir={output}", *more], cwd=self.path,
                                env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def log(self, output):
        return [json.loads(line) for line in (self.path / output / "metrics.jsonl").read_text().splitlines()]

    def whole(self, output, *more):
        """A run from beginning to end; its log."""
        process = self.start(output, *more)
        said, _ = process.communicate()
        if process.returncode != 0:
            sys.exit(said)
        return self.log(output)

    def killed(self, output):
        """A run that SIGKILL ends between two checkpoints; its log."""
        process = self.start(output, "max_steps=4000")
        while process.poll() is None and not (
                (self.path / output / "checkpoint-40").is_dir() and len(self.log(output)) > 50):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return self.log(output)

    def resumed(self, output, rows):
        """Goes on with `output` for some rows more, up to Ctrl-C. What it printed, and its log."""
        process = self.start(output, "max_steps=4000", "--resume")
        while process.poll() is None and len(self.log(output)) < rows:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
        return said, self.log(output)

    def last_checkpoint(self, output):
        return max(int(p.name.split("-")[1]) for p in (self.path / output).glob("checkpoint-*"))

    def remove(self):
        shutil.rmtree(self.path)


def tracked(entry):
    """An entry of TRL's log as transformers' callbacks name it."""
    return {("eval/" + k[5:] if k.startswith("eval_") else "train/" + k): v for k, v in entry.items() if k != "step"}


class Checks:
    failed = False

    def __call__(self, condition, what):
        print(("ok    " if condition else "WRONG ") + what)
        self.failed = self.failed or not condition
