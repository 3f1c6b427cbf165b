internal import ArgumentParser
internal import OslerFormats

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Writes a run as one HTML page: what was trained on what, curves, evaluation.",
        discussion: """
            Every training run ends with one; this writes it again, for example after osler evaluate has filled the \
            run's evaluation folder, or for a run that was killed. The page needs no other file and no network. A \
            model card, README.md, goes into the adapter's folder, unless one stands there that osler did not write.

            osler report quickstart-out
            osler report quickstart-out -o report.html
            """)

    @Argument(help: "The output_dir of a training run.")
    var folder: String

    @Option(
        name: .shortAndLong, help: "Where to write the page (default: report.html in the folder).")
    var output: String?

    func run() throws {
        let console = Console(quiet: false)
        for line in try RunReport.write(folder, to: output) { console.print(line) }
    }
}
