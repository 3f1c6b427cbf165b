"""LoRA steps on random weights and random tokens by TRL or Unsloth, timed step by step: the same work as `osler bench train`.

    gpu_sft.py --peer trl --shape r1-distill-llama-8b --tokens 4096 --batch 2 [--nf4] [--checkpointing]

Prints one JSON object. No file and no network is needed: the configuration is in here, weights are drawn on the card (for
Unsloth, whose loader takes only folders, and once written to --folder). The first quarter of each row is not in the loss.
Where FlashAttention is installed rows are laid end to end (padding-free); else they are a batch of equal rows, which has no
padding either and keeps PyTorch's own flash kernel. Liger's layer kernels are used where they are installed; the head is TRL's
fused one. Exit code 3 and one line: something that this peer needs is not installed.
"""
import argparse, importlib, importlib.metadata, importlib.util, json, os, sys, tempfile, time

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}
SHAPES = {  # as in OslerModels/ModelShape.swift
    "r1-distill-llama-8b": dict(
        hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
        vocab_size=128256, max_position_embeddings=131072, rms_norm_eps=1e-5, tie_word_embeddings=False,
        rope=(500000.0, LLAMA3)),
    "smollm2-135m": dict(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49152, max_position_embeddings=8192, rms_norm_eps=1e-5, tie_word_embeddings=True, rope=(100000.0, None)),
    "tiny": dict(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=256, max_position_embeddings=1024, rms_norm_eps=1e-5, tie_word_embeddings=False, rope=(10000.0, None)),
}
ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--peer", choices=["trl", "unsloth"], default="trl")
parser.add_argument("--shape", choices=SHAPES, default="r1-distill-llama-8b")
parser.add_argument("--nf4", action="store_true", help="layers in NF4, double quantized")
parser.add_argument("--tokens", type=int, default=4096, help="of a row")
parser.add_argument("--batch", type=int, default=2, help="rows in a step")
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--target", choices=["all-linear", "attention"], default="all-linear")
parser.add_argument("--steps", type=int, default=5)
parser.add_argument("--checkpointing", action="store_true", help="compute every block again in backward")
parser.add_argument("--attention", help="attn_implementation of transformers; FlashAttention where installed by default")
parser.add_argument("--no-liger", action="store_true")
parser.add_argument("--folder", help="where Unsloth's random weights lie, or are written")
parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
options = parser.parse_args()
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", UNSLOTH_DISABLE_STATISTICS="1", TOKENIZERS_PARALLELISM="false")


def leave_out(reason):
    print(f"{options.peer} is left out: {reason}", file=sys.stderr)
    sys.exit(3)


def has(name):
    return importlib.util.find_spec(name) is not None


needed = ["torch", "transformers", "trl", "peft", "datasets", "accelerate"]
needed += ["bitsandbytes"] * options.nf4 + ["unsloth"] * (options.peer == "unsloth")
for name in needed:
    if not has(name):
        leave_out(f"this Python has no {name}")
try:
    if options.peer == "unsloth":  # patches the others, so it comes first
        from unsloth import FastLanguageModel
    import torch
    import transformers
    from datasets import Dataset
    from peft import LoraConfig
    from tokenizers import Tokenizer, models
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast, TrainerCallback
    from trl import SFTConfig, SFTTrainer
except Exception as error:  # whatever versions that don't fit each other raise
    leave_out(f"{type(error).__name__}: {error}".splitlines()[0])
cuda = options.device == "cuda"
if cuda and not torch.cuda.is_available():
    leave_out("this Python's torch sees no GPU")
torch.manual_seed(1)


def configuration():
    values = dict(SHAPES[options.shape])
    theta, scaling = values.pop("rope")
    if int(transformers.__version__.split(".")[0]) >= 5:
        values["rope_parameters"] = {"rope_theta": theta, **(scaling or {"rope_type": "default"})}
    else:
        values.update(rope_theta=theta, rope_scaling=scaling)
    return LlamaConfig(**values)


def tokenizer():
    """One that only knows what padding is called; the rows are token ids already."""
    vocabulary = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=vocabulary, pad_token="<pad>", eos_token="</s>", unk_token="<pad>")


def random_model(attention):
    """transformers' own initialisation, made on the card in bfloat16."""
    with torch.device(options.device):
        return AutoModelForCausalLM.from_config(configuration(), dtype=torch.bfloat16, attn_implementation=attention)


def quantize(model):
    """The layers' matrices become bitsandbytes' NF4, one after the other; the head stays."""
    import bitsandbytes as bnb

    for layer in model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, linear in list(part.named_children()):
                if not isinstance(linear, torch.nn.Linear):
                    continue
                new = bnb.nn.Linear4bit(
                    linear.in_features, linear.out_features, bias=False, compute_dtype=torch.bfloat16,
                    compress_statistics=True, quant_type="nf4", device="meta")
                new.weight = bnb.nn.Params4bit(
                    linear.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4",
                    module=new).to(options.device)
                setattr(part, name, new)
    # What from_pretrained leaves on a quantized model, for TRL, PEFT and the Trainer.
    model.is_loaded_in_4bit = True


def attention():
    if options.attention:
        return options.attention
    if cuda and has("flash_attn_interface"):
        return "flash_attention_3"
    return "flash_attention_2" if cuda and has("flash_attn") else "sdpa"


def trl_model():
    model = random_model(attention())
    if options.nf4:
        quantize(model)
    targets = "all-linear" if options.target == "all-linear" else ALL_LINEAR[:4]
    return model, tokenizer(), LoraConfig(
        r=options.rank, lora_alpha=options.rank, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM", target_modules=targets)


def unsloth_model():
    folder = options.folder or tempfile.mkdtemp()
    if not os.path.exists(os.path.join(folder, "config.json")):
        model = random_model("sdpa")
        model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        del model
        torch.cuda.empty_cache()
    model, loaded = FastLanguageModel.from_pretrained(
        folder, max_seq_length=options.tokens, dtype=torch.bfloat16, load_in_4bit=options.nf4)
    model = FastLanguageModel.get_peft_model(
        model, r=options.rank, lora_alpha=options.rank, lora_dropout=0, bias="none", random_state=1,
        target_modules=ALL_LINEAR if options.target == "all-linear" else ALL_LINEAR[:4],
        use_gradient_checkpointing="unsloth" if options.checkpointing else False, max_seq_length=options.tokens)
    return model, loaded, None


stamps = []


class Clock(TrainerCallback):
    """A step is over when the card has done it."""

    def on_train_begin(self, *_, **__):
        if cuda:
            torch.cuda.synchronize()
        stamps.append(time.time())

    def on_step_end(self, *_, **__):
        if cuda:
            torch.cuda.synchronize()
        stamps.append(time.time())


def rows():
    prompt = options.tokens // 4
    ids = torch.randint(SHAPES[options.shape]["vocab_size"], (options.steps * options.batch, options.tokens)).tolist()
    return Dataset.from_list([{"input_ids": row, "labels": [-100] * prompt + row[prompt:]} for row in ids])


model, processing, lora = unsloth_model() if options.peer == "unsloth" else trl_model()
settings = dict(
    output_dir=tempfile.mkdtemp(), max_steps=options.steps, per_device_train_batch_size=options.batch,
    gradient_accumulation_steps=1, learning_rate=2e-4, logging_steps=1, save_strategy="no", eval_strategy="no", bf16=True,
    report_to="none", seed=42, disable_tqdm=True, use_cpu=not cuda,
    gradient_checkpointing=options.checkpointing, gradient_checkpointing_kwargs={"use_reentrant": False})
liger = options.peer == "trl" and cuda and has("liger_kernel") and not options.no_liger
if options.peer == "unsloth":  # lays rows end to end by itself
    settings.update(max_length=options.tokens)
else:
    settings.update(max_length=None, padding_free=attention().startswith("flash") and options.batch > 1, use_liger_kernel=liger)
trainer = SFTTrainer(
    model=model, train_dataset=rows(), processing_class=processing, peft_config=lora, args=SFTConfig(**settings),
    callbacks=[Clock()])
if cuda:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
trainer.train()
result = {
    "peer": options.peer, "shape": options.shape, "weights": "nf4" if options.nf4 else "bf16", "row_tokens": options.tokens,
    "batch": options.batch, "rank": options.rank, "target": options.target, "checkpointing": options.checkpointing,
    "attention": "unsloth's" if options.peer == "unsloth" else attention(),
    "padding_free": bool(getattr(trainer.args, "padding_free", False)), "liger": liger,
    "trainable_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
    "steps": [{"loss": entry["loss"], "tokens": options.tokens * options.batch, "seconds": b - a}
              for entry, a, b in zip([e for e in trainer.state.log_history if "loss" in e], stamps, stamps[1:])],
    "versions": {name: importlib.metadata.version(name) for name in needed},
}
timed = result["steps"][1:] or result["steps"]
result["tokens_per_second"] = sum(s["tokens"] for s in timed) / sum(s["seconds"] for s in timed)
if cuda:
    free, total = torch.cuda.mem_get_info()
    # What the allocator reserved it keeps, so this is all that was taken of the card at the most.
    result.update(card=torch.cuda.get_device_name(0), peak_bytes=torch.cuda.max_memory_reserved(), card_bytes=total - free)
print(json.dumps(result))
