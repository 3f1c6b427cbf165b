"""The notebook's recipe with TRL on a CPU, timed step by step. Prints one JSON object."""
import argparse, json, resource, tempfile, time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True, help="JSON or JSONL with Question, Complex_CoT, Response")
parser.add_argument("--qlora", action="store_true", help="NF4 base, double quantized")
parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--rows", type=int)
parser.add_argument("--no-checkpointing", action="store_true")
parser.add_argument("--loss", choices=["dft", "nll"], default="dft")
parser.add_argument("--save-initial", required=True, help="folder for the adapter as it was before the first step")
options = parser.parse_args()

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from trl import SFTConfig, SFTTrainer

torch.set_num_threads(torch.multiprocessing.cpu_count())
text = open(options.data).read()
records = json.loads(text) if text.lstrip().startswith("[") else [json.loads(l) for l in text.splitlines() if l]
data = Dataset.from_list([
    {"messages": [{"role": "user", "content": r["Question"]},
                  {"role": "assistant", "content": f"<think>{r['Complex_CoT']}</think>{r['Response']}"}]}
    for r in records[:options.rows]])
dtype = getattr(torch, options.dtype)
quantization = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=dtype) if options.qlora else None
model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype, quantization_config=quantization)
tokenizer = AutoTokenizer.from_pretrained(options.model)
tokenizer.pad_token = tokenizer.eos_token
trainer = SFTTrainer(
    model=model, train_dataset=data, processing_class=tokenizer,
    peft_config=LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
                           target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]),
    args=SFTConfig(
        output_dir=tempfile.mkdtemp(), max_steps=options.steps, per_device_train_batch_size=2,
        gradient_accumulation_steps=4, learning_rate=2e-4, max_length=1024, logging_steps=1, save_strategy="no",
        eval_strategy="no", bf16=options.dtype == "bfloat16", use_cpu=True, loss_type=options.loss, report_to="none",
        gradient_checkpointing=not options.no_checkpointing, seed=42, disable_tqdm=True))
stamps = []


class Clock(TrainerCallback):
    def on_train_begin(self, *_, **__):
        stamps.append(time.time())

    def on_step_end(self, *_, **__):
        stamps.append(time.time())


trainer.add_callback(Clock())
trainer.model.save_pretrained(options.save_initial)
trainer.train()
log = [entry for entry in trainer.state.log_history if "loss" in entry]
tokens = [entry["num_tokens"] for entry in log]
print(json.dumps({
    "steps": [{"loss": e["loss"], "grad_norm": e["grad_norm"], "tokens": t - s, "seconds": b - a}
              for e, s, t, a, b in zip(log, [0] + tokens, tokens, stamps, stamps[1:])],
    "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
