/// What the operations of a stretch of time took, the dearest first.
package struct Profile: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package let operation: ProfiledOperation
        package internal(set) var calls = 0
        package internal(set) var seconds = 0.0
        /// What all calls needed together; see `OperationCost`.
        package internal(set) var cost = OperationCost()

        package var gigaflopsPerSecond: Double { Double(cost.flops) / max(seconds, 1e-9) / 1e9 }
        package var gigabytesPerSecond: Double { Double(cost.bytes) / max(seconds, 1e-9) / 1e9 }
    }

    package let entries: [Entry]
    /// The whole stretch by the clock.
    package let seconds: Double
    package var operationSeconds: Double { entries.reduce(0) { $0 + $1.seconds } }
    /// Time in which no operation ran.
    package var betweenSeconds: Double { seconds - operationSeconds }
}
