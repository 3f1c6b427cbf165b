internal import ArgumentParser

/// The command line: one file a subcommand.
@main
struct Osler: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "osler",
        abstract:
            "Fine-tunes reasoning language models with LoRA and QLoRA. Your data stays on the machine.",
        discussion: """
            osler train recipes/quickstart.yaml
            osler generate --model MODEL --adapter ADAPTER --prompt "..."

            --model is a Hugging Face folder, a .gguf file, or the name of a model on the hub, everywhere.
            """,
        version: "0.1.0",
        subcommands: [
            Train.self, PreflightCommand.self, PlanCommand.self, Generate.self, Chat.self,
            Score.self, Evaluate.self, Merge.self, Quantize.self, Tokenize.self, Render.self,
            Split.self, Inspect.self, ReportCommand.self, Download.self, Cache.self, Bench.self,
            Doctor.self,
        ])
}
