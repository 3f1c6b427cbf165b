internal import ArgumentParser

/// The command line: one file a subcommand.
@main
struct Osler: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "osler",
        abstract:
            "Fine-tunes reasoning language models with LoRA and QLoRA. Nothing leaves the machine.",
        discussion: """
            osler train recipes/quickstart.yaml
            osler generate --model MODEL --adapter ADAPTER --prompt "..."

            --model is a Hugging Face folder or a .gguf file everywhere.
            """,
        version: "0.1.0",
        subcommands: [
            Train.self, PreflightCommand.self, PlanCommand.self, Generate.self, Chat.self,
            Score.self, Merge.self, Quantize.self, Tokenize.self, Render.self, Split.self,
            Inspect.self, Bench.self, Doctor.self,
        ])
}
