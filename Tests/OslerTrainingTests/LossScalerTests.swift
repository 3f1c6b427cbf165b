import OslerFormats
import OslerTraining
import Testing

/// The scale of torch.amp.GradScaler, step by step.
@Suite struct LossScalerTests {
    @Test func `overflows halve it, and 2000 updates without one double it`() {
        var scaler = LossScaler()
        #expect(scaler.scale == 65536)
        for _ in 0..<3 { scaler.update(gradientsAreFinite: false) }
        #expect(scaler.scale == 8192 && scaler.skippedInARow == 3)
        for _ in 0..<1999 { scaler.update(gradientsAreFinite: true) }
        #expect(scaler.scale == 8192 && scaler.growthTracker == 1999 && scaler.skippedInARow == 0)
        scaler.update(gradientsAreFinite: true)
        #expect(scaler.scale == 16384 && scaler.growthTracker == 0)
        for _ in 0..<1999 { scaler.update(gradientsAreFinite: true) }
        // An overflow starts the count anew.
        scaler.update(gradientsAreFinite: false)
        #expect(scaler.scale == 8192 && scaler.growthTracker == 0 && scaler.skippedSteps == 4)
        for _ in 0..<4000 { scaler.update(gradientsAreFinite: true) }
        #expect(scaler.scale == 32768 && scaler.skippedSteps == 4)
    }

    /// `_amp_update_scale_` of ATen/native/cuda/AmpKernels.cu, as it is written there.
    @Test func `follows torch's rule on any sequence`() {
        var scaler = LossScaler(scale: 0x1p120)
        var (scale, tracker, mismatches) = (Float(0x1p120), 0, 0)
        for step in 0..<40_000 {
            let found = step % 7919 == 0 || (step / 10_000 == 2 && step % 911 == 0)
            scaler.update(gradientsAreFinite: !found)
            if found {
                scale *= 0.5
                tracker = 0
            } else {
                let successful = tracker + 1
                if successful == 2000 {
                    let grown = scale * 2
                    if grown.isFinite { scale = grown }
                    tracker = 0
                } else {
                    tracker = successful
                }
            }
            if scaler.scale != scale || scaler.growthTracker != tracker { mismatches += 1 }
        }
        #expect(mismatches == 0)
    }

    @Test func `a checkpoint keeps it, and nothing impossible`() {
        var scaler = LossScaler()
        for step in 0..<30 { scaler.update(gradientsAreFinite: step % 9 != 0) }
        #expect(LossScaler(json: scaler.json, steps: 30) == scaler)
        #expect(LossScaler(json: scaler.json, steps: 3) == nil)
        for (key, value) in [
            ("scale", 0.5), ("scale", .number(.infinity)), ("scale", 1e39), ("scale", nil),
            ("growth_tracker", 2000), ("growth_tracker", -1), ("skipped_steps", 31),
            ("skipped_in_a_row", 5), ("skipped_in_a_row", "none"),
        ] as [(String, JSON?)] {
            var object = scaler.json.object ?? .init()
            object[key] = value
            #expect(LossScaler(json: .object(object), steps: 30) == nil, "\(key)")
        }
    }
}
