package import OslerCompute

/// Keys and values of the tokens seen so far, activation type, for every layer and sequence.
///
/// Each sequence has its own region of `capacity` rows: row `sequence * capacity + position`.
package final class KeyValueCache {
    package struct Layer: Sendable {
        /// `[sequences * capacity, K, h]`.
        package let keys: Tensor
        package let values: Tensor

        /// Puts a pass's new rows behind those already there; the pass's table says where each sequence ends.
        func store(keys newKeys: Tensor, values newValues: Tensor, _ pass: Pass) {
            for entry in pass.sequences.entries {
                let source = entry.queryOffset..<entry.queryOffset + entry.queryCount
                let start = entry.keyOffset + entry.keyCount - entry.queryCount
                let target = start..<start + entry.queryCount
                pass.backend.copy(newKeys.rows(source), to: keys.rows(target))
                pass.backend.copy(newValues.rows(source), to: values.rows(target))
            }
        }
    }

    package let layers: [Layer]
    package let capacity: Int
    /// Tokens held for each sequence.
    package var lengths: [Int]

    package static func byteCount(
        _ configuration: ModelConfiguration, precision: Precision, sequences: Int, capacity: Int
    ) -> Int {
        2 * configuration.layers * sequences * capacity * configuration.keyValueHeads
            * configuration.headWidth * precision.activationType.byteWidth
    }

    /// Each layer's where its block is.
    package init(_ model: CausalLM, sequences: Int, capacity: Int) throws {
        let (configuration, backend) = (model.configuration, model.backend)
        let shape = [sequences * capacity, configuration.keyValueHeads, configuration.headWidth]
        let type = backend.precision.activationType
        layers = try (0..<configuration.layers).map { layer in
            try backend.on(model.placement.device(of: layer)) {
                Layer(
                    keys: try backend.tensor(type, shape), values: try backend.tensor(type, shape))
            }
        }
        self.capacity = capacity
        lengths = [Int](repeating: 0, count: sequences)
    }
}
