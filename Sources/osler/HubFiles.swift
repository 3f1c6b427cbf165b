internal import OslerFormats
internal import OslerHub
internal import OslerTraining
internal import Synchronization

/// Turns what a person names into files on this machine. A file or folder here comes first; otherwise `org/name`, and
/// `org/name@revision`, are on the hub, and what is needed of it is fetched.
struct HubFiles {
    private let console: Console
    private let localOnly: Bool

    init(_ console: Console, localOnly: Bool = false) {
        (self.console, self.localOnly) = (console, localOnly)
    }

    /// What of a repository is wanted.
    enum Part {
        case model, tokenizer, adapter
    }

    /// Names that were fetched by this process: a command may ask more than once.
    private static let fetched = Mutex<[String: String]>([:])

    /// The folder or file that `name` means; what is neither here nor a name on the hub is given back as it is.
    func path(_ name: String, _ part: Part = .model, revision: String? = nil) throws -> String {
        guard let place = HubName(name, revision: revision) else { return name }
        let key = "\(part) \(place.id) \(place.revision ?? "") \(place.file ?? "")"
        if let path = Self.fetched.withLock({ $0[key] }) { return path }
        let hub = try hub()
        let listing = try hub.listing(HubRepository(.model, place.id, revision: place.revision))
        let path: String
        if let file = place.file {
            path = FileSystem.join(try hub.fetch([file], of: listing), file)
        } else {
            let files =
                switch part {
                case .model: try ModelFileChoice.model(listing)
                case .tokenizer: try ModelFileChoice.tokenizer(listing)
                case .adapter: try ModelFileChoice.adapter(listing)
                }
            path = try hub.fetch(files, of: listing)
        }
        Self.fetched.withLock { $0[key] = path }
        return path
    }

    /// The data files of a split: of a file, a folder with a README, or a data set on the hub.
    func dataFiles(
        _ name: String, revision: String? = nil, configuration: String?, split: String?,
        usually: String = "train"
    ) throws -> [String] {
        let chosen = split ?? usually
        if FileSystem.isDirectory(name) {
            let files = try HubCache.files(in: name)
            return try choose(files, in: name, name, configuration, chosen).map {
                FileSystem.join(name, $0)
            }
        }
        guard let place = HubName(name, revision: revision), place.file == nil else {
            if let configuration {
                throw InputError(
                    "a file has no configurations, so none \"\(configuration)\"", file: name,
                    field: "dataset_config_name", remedy: "leave it out")
            }
            if let split {
                throw InputError(
                    "a file has no splits, so none \"\(split)\"", file: name,
                    field: usually == "train" ? "dataset_split" : "eval_split",
                    remedy: "leave it out, or name a folder or a data set on the hub")
            }
            return [name]
        }
        let hub = try hub()
        let listing = try hub.listing(HubRepository(.dataset, place.id, revision: place.revision))
        if listing.files.contains(Self.card) {
            _ = try hub.fetch([Self.card], of: listing, isAll: false)
        }
        let folder = hub.cache.snapshot(listing.repository, listing.commit)
        let files = try choose(listing.files, in: folder, place.id, configuration, chosen)
        let path = try hub.fetch(files, of: listing)
        return files.map { FileSystem.join(path, $0) }
    }

    private static let card = "README.md"

    private func choose(
        _ files: [String], in folder: String, _ name: String, _ configuration: String?,
        _ split: String
    ) throws -> [String] {
        let card = FileSystem.join(folder, Self.card)
        let readme = FileSystem.isFile(card) ? try FileSystem.readText(card) : ""
        let metadata = try DatasetCard.header(readme).map {
            try ConfigurationFile.parse($0, file: name + "/" + Self.card)
        }
        return try DatasetCard(metadata ?? .null, files: files, name: name)
            .files(configuration: configuration, split: split)
    }

    /// The hub, with what it does shown.
    func hub() throws -> Hub {
        var settings = try HubSettings()
        if localOnly { settings.isOffline = true }
        return Hub(settings) { [console] in console.show($0) }
    }

    /// The files of a run.
    func inputs(_ configuration: SFTConfiguration) throws -> TrainingInputs {
        var inputs = TrainingInputs(configuration)
        inputs.model = try path(configuration.baseModel, revision: configuration.modelRevision)
        inputs.startingAdapter = try configuration.startingAdapter.map { try path($0, .adapter) }
        inputs.dataset = try dataFiles(
            configuration.dataset, revision: configuration.datasetRevision,
            configuration: configuration.datasetConfiguration,
            split: configuration.datasetSplit)
        guard let name = configuration.evalDataset else { return inputs }
        let isSame = name == configuration.dataset
        inputs.evalDataset = try dataFiles(
            name, revision: isSame ? configuration.datasetRevision : nil,
            configuration: isSame ? configuration.datasetConfiguration : nil,
            split: configuration.evalSplit, usually: "test")
        return inputs
    }
}

/// A name on the hub: `org/name`, `org/name@revision`, `org/name/FILE.gguf`.
struct HubName: Equatable {
    let id: String
    let revision: String?
    let file: String?

    /// nil for what is here, and for what can only be a path: a local one that is mistyped must not be asked for elsewhere.
    init?(_ text: String, revision: String? = nil) {
        guard !FileSystem.exists(text) else { return nil }
        let halves = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        let parts = halves[0].split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 2, !FileSystem.exists(String(parts[0])) else { return nil }
        let id = parts[..<2].joined(separator: "/")
        let endings = DatasetCard.endings + [".gguf", ".safetensors", ".gz", ".txt", ".yaml"]
        guard HubRepository.isName(id), !endings.contains(where: { id.hasSuffix($0) }) else {
            return nil
        }
        file = parts.count > 2 ? parts[2...].joined(separator: "/") : nil
        if let file, !file.hasSuffix(".gguf") { return nil }
        self.id = id
        self.revision = halves.count == 2 ? String(halves[1]) : revision
    }
}

extension Console {
    /// Says what is asked for and fetched, on standard error.
    func show(_ event: Hub.Event) {
        switch event {
        case .asks(let repository, let host): note("\(repository): asking \(host) for its files")
        case .usesCache(let repository, let reason):
            note("\(repository): \(reason); using what is on this machine")
        case .begins(let repository, let host, let files, let bytes, let missing):
            note(
                "\(repository): fetching \(missing) of \(files) files, \(bytes.mebibytes), from \(host)"
            )
        case .progresses(let progress):
            let rate = progress.bytesPerSecond.map { ", " + Int($0).mebibytes + "/s" } ?? ""
            let left = progress.secondsLeft.map { ", " + $0.clock + " left" } ?? ""
            self.progress(
                "fetched \(progress.doneBytes.mebibytes) of \(progress.totalBytes.mebibytes)"
                    + rate + left)
        case .ends: endProgress()
        }
    }
}
