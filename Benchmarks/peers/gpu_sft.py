"""The notebook's recipe with TRL on an NVIDIA GPU, timed step by step. Prints one JSON object. Called by Scripts/gpu-check;
the same recipe on a CPU is trl_sft.py."""
import argparse, importlib.metadata, json, tempfile, time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True, help="JSON or JSONL with Question, Complex_CoT, Response")
parser.add_argument("--qlora", action="store_true", help="NF4 base, double quantized")
parser.add_argument("--steps", type=int, default=8)
parser.add_argument("--attention", default="sdpa", help="attn_implementation of transformers")
parser.add_argument("--no-checkpointing", action="store_true")
options = parser.parse_args()

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from trl import SFTConfig, SFTTrainer

if not torch.cuda.is_available():
    raise SystemExit("this Python's torch sees no GPU")
text = open(options.data).read()
records = json.loads(text) if text.lstrip().startswith("[") else [json.loads(l) for l in text.splitlines() if l]
data = Dataset.from_list([
    {"messages": [{"role": "user", "content": r["Question"]},
                  {"role": "assistant", "content": f"<think>{r['Complex_CoT']}</think>{r['Response']}"}]}
    for r in records])
quantization = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.bfloat16) if options.qlora else None
model = AutoModelForCausalLM.from_pretrained(
    options.model, dtype=torch.bfloat16, quantization_config=quantization, device_map={"": 0},
    attn_implementation=options.attention)
tokenizer = AutoTokenizer.from_pretrained(options.model)
tokenizer.pad_token = tokenizer.eos_token
trainer = SFTTrainer(
    model=model, train_dataset=data, processing_class=tokenizer,
    peft_config=LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
                           target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]),
    args=SFTConfig(
        output_dir=tempfile.mkdtemp(), max_steps=options.steps, per_device_train_batch_size=2,
        gradient_accumulation_steps=4, learning_rate=2e-4, max_length=1024, logging_steps=1, save_strategy="no",
        eval_strategy="no", bf16=True, loss_type="dft", report_to="none",
        gradient_checkpointing=not options.no_checkpointing, seed=42, disable_tqdm=True))
stamps = []


class Clock(TrainerCallback):
    """A step is over when the card has done it."""

    def on_train_begin(self, *_, **__):
        torch.cuda.synchronize()
        stamps.append(time.time())

    def on_step_end(self, *_, **__):
        torch.cuda.synchronize()
        stamps.append(time.time())


trainer.add_callback(Clock())
torch.cuda.reset_peak_memory_stats()
trainer.train()
log = [entry for entry in trainer.state.log_history if "loss" in entry]
tokens = [entry["num_tokens"] for entry in log]
print(json.dumps({
    "steps": [{"loss": e["loss"], "tokens": t - s, "seconds": b - a}
              for e, s, t, a, b in zip(log, [0] + tokens, tokens, stamps, stamps[1:])],
    "peak_bytes": torch.cuda.max_memory_allocated(), "card": torch.cuda.get_device_name(0),
    "versions": {name: importlib.metadata.version(name)
                 for name in ["torch", "transformers", "trl", "peft", "bitsandbytes"]}}))
