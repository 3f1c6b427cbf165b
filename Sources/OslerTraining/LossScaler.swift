package import OslerFormats

/// Dynamic loss scaling (Micikevicius et al. 2018), by the rule and the defaults of
/// torch.amp.GradScaler: the loss's gradient is multiplied by `scale`, so that float16 neither loses
/// its small values nor overflows. A step whose gradients are not finite is skipped and halves the
/// scale; 2000 updates in a row double it.
package struct LossScaler: Sendable, Equatable {
    package static let growthInterval = 2000
    private static let (growthFactor, backoffFactor): (Float, Float) = (2, 0.5)

    /// A power of two unless it was begun with another number.
    package private(set) var scale: Float
    /// Updates since the scale changed last.
    package private(set) var growthTracker = 0
    /// Steps without an update, of all so far and at the end of them.
    package private(set) var skippedSteps = 0
    package private(set) var skippedInARow = 0

    package init(scale: Float = 65536) { self.scale = scale }

    /// After a step.
    package mutating func update(gradientsAreFinite: Bool) {
        guard gradientsAreFinite else {
            scale *= Self.backoffFactor
            growthTracker = 0
            skippedSteps += 1
            skippedInARow += 1
            return
        }
        skippedInARow = 0
        growthTracker += 1
        guard growthTracker == Self.growthInterval else { return }
        growthTracker = 0
        let grown = scale * Self.growthFactor
        if grown.isFinite { scale = grown }
    }

    package var json: JSON {
        [
            "scale": .number(Double(scale)), "growth_tracker": .integer(growthTracker),
            "skipped_steps": .integer(skippedSteps), "skipped_in_a_row": .integer(skippedInARow),
        ]
    }

    /// Nil when a number is missing, or none that `steps` steps can have left.
    package init?(json: JSON, steps: Int) {
        guard let scale = json["scale"]?.double, scale >= 1, Float(scale).isFinite,
            let tracker = json["growth_tracker"]?.integer,
            (0..<Self.growthInterval).contains(tracker),
            let skipped = json["skipped_steps"]?.integer, (0...steps).contains(skipped),
            let inARow = json["skipped_in_a_row"]?.integer, (0...skipped).contains(inARow)
        else { return nil }
        self.scale = Float(scale)
        (growthTracker, skippedSteps, skippedInARow) = (tracker, skipped, inARow)
    }
}
