package import OslerCompute

/// A device as a memory plan sees it: one that is here, or one that only its size is known of.
package struct PlannedDevice {
    /// Asked for its precision and the loss head's scratch.
    package var backend: any Backend
    /// Bytes that its operations take for themselves.
    package var scratch: Int
    /// Bytes that a run may take; nil where nobody knows.
    package var budget: Int?
    /// Whether blocks may wait in host memory.
    package var mayStream: Bool
    /// What is taken beside the run's own memory.
    package var overhead: MemoryPlan.Item

    package init(
        _ backend: any Backend, scratch: Int, budget: Int?, mayStream: Bool = false,
        overhead: MemoryPlan.Item = Self.program
    ) {
        (self.backend, self.scratch, self.budget) = (backend, scratch, budget)
        (self.mayStream, self.overhead) = (mayStream, overhead)
    }

    /// The binary, the tokenizer and the tokenized rows, roughly: measured on SmolLM2 runs.
    package static let program = MemoryPlan.Item(name: "program", bytes: 60 << 20)
    /// The binary alone.
    package static let programWithoutText = MemoryPlan.Item(name: "program", bytes: 20 << 20)
    /// On a card that is here: what the driver took is no more among the free bytes.
    package static let nothing = MemoryPlan.Item(name: "driver and context", bytes: 0)
}
