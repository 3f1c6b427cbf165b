internal import ArgumentParser
internal import OslerFormats
internal import OslerHub

struct Download: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetches a model or data set from the hub, to use it later without a network.",
        discussion: """
            Into Hugging Face's own cache (HF_HOME, HF_HUB_CACHE), which the Python tools share. What is there is not fetched \
            again, and a download that was cut goes on where it was. Of a model what Osler needs, of a data set everything. \
            HF_TOKEN or the stored token opens private and gated ones, HF_ENDPOINT names a mirror, HTTPS_PROXY a proxy.

            osler download deepseek-ai/DeepSeek-R1-Distill-Llama-8B
            osler download FreedomIntelligence/medical-o1-reasoning-SFT --dataset --include "*.json"
            """)

    @Argument(help: "org/name")
    var repository: String

    @Flag(help: "It is a data set.")
    var dataset = false

    @Option(help: "A branch, tag or commit (default: main).")
    var revision: String?

    @Option(help: ArgumentHelp("Only files like this; more than once for more.", valueName: "glob"))
    var include: [String] = []

    @Flag(help: "Print {\"path\", \"commit\", \"files\"}.")
    var json = false

    func run() throws {
        let console = Console(quiet: false)
        let hub = try HubFiles(console).hub()
        let repository = try HubRepository(
            dataset ? .dataset : .model, self.repository, revision: revision)
        let listing = try hub.listing(repository)
        let files = try wanted(listing)
        let path = try hub.fetch(files, of: listing)
        if json {
            let result: JSON = [
                "path": .string(path), "commit": .string(listing.commit),
                "files": .array(files.map { .string($0) }),
            ]
            console.print(result.serialized(ensureASCII: false))
        } else {
            console.print(path)
        }
    }

    private func wanted(_ listing: HubListing) throws -> [String] {
        if !include.isEmpty {
            let globs = include.map { Glob($0, crossesFolders: true) }
            let files = listing.files.filter { file in globs.contains { $0.matches(file) } }
            guard !files.isEmpty else {
                throw InputError(
                    "no file fits", file: repository, field: "--include",
                    remedy: "it has "
                        + listing.files.prefix(20).map { "\"\($0)\"" }.joined(separator: ", "))
            }
            return files
        }
        if dataset { return listing.files }
        let isAdapter = listing.files.contains("adapter_config.json")
        return try isAdapter && !listing.files.contains("config.json")
            ? ModelFileChoice.adapter(listing) : ModelFileChoice.model(listing)
    }
}
