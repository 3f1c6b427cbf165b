/// Where the files of a run are on this machine: what its configuration names, or what was fetched for it.
package struct TrainingInputs: Sendable {
    /// A model folder or GGUF file.
    package var model: String
    /// The folder of an adapter to continue from.
    package var startingAdapter: String?
    /// Files whose rows follow each other.
    package var dataset: [String]
    package var evalDataset: [String]?

    /// The configuration's names, taken for paths.
    package init(_ configuration: SFTConfiguration) {
        model = configuration.baseModel
        startingAdapter = configuration.startingAdapter
        dataset = [configuration.dataset]
        evalDataset = configuration.evalDataset.map { [$0] }
    }
}
