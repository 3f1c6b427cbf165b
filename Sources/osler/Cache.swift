internal import ArgumentParser
internal import OslerFormats
internal import OslerHub

struct Cache: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows and clears what was fetched from the hub.",
        discussion:
            "It is Hugging Face's cache (HF_HOME, HF_HUB_CACHE): what Python has fetched is in it too.",
        subcommands: [CacheList.self, CacheSize.self, CacheDelete.self])
}

struct CacheList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists the models and data sets.")

    @Flag(help: "Print JSON lines {\"kind\", \"id\", \"bytes\", \"commits\", \"path\"}.")
    var json = false

    func run() throws {
        let contents = try HubCache(HubSettings().cache).contents()
        try Output.run { output in
            for repository in contents {
                try output.line(json ? object(repository).serialized() : text(repository))
            }
        }
    }

    private func text(_ repository: CachedRepository) -> String {
        let references = repository.references.map { "\($0.name) \($0.commit.prefix(8))" }
        return repository.kind.rawValue.rightPadded(8)
            + repository.byteCount.mebibytes.leftPadded(12) + "  " + repository.id + "  "
            + references.joined(separator: ", ")
    }

    private func object(_ repository: CachedRepository) -> JSON {
        [
            "kind": .string(repository.kind.rawValue), "id": .string(repository.id),
            "bytes": .integer(repository.byteCount),
            "commits": .array(repository.commits.map { .string($0) }),
            "path": .string(repository.path),
        ]
    }
}

struct CacheSize: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "size", abstract: "Says how much the cache takes, and where it is.")

    func run() throws {
        let cache = try HubCache(HubSettings().cache)
        let bytes = try cache.contents().reduce(0) { $0 + $1.byteCount }
        try Output.run { try $0.line("\(bytes.mebibytes) in \(cache.path)") }
    }
}

struct CacheDelete: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Removes a model or data set from the cache.")

    @Argument(help: "org/name")
    var repository: String

    @Flag(help: "It is a data set.")
    var dataset = false

    func run() throws {
        let wanted = try HubRepository(dataset ? .dataset : .model, repository)
        let cache = try HubCache(HubSettings().cache)
        guard let bytes = try cache.delete(wanted) else {
            throw InputError(
                "not in the cache \(cache.path)", file: repository,
                remedy: "osler cache list shows what is")
        }
        try Output.run { try $0.line("removed \(bytes.mebibytes)") }
    }
}
