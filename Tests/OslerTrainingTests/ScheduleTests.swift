import OslerFormats
import OslerTestSupport
import OslerTraining
import Testing

/// Learning rates and step counts against transformers.
@Suite struct ScheduleTests {
    @Test func `learning rates equal transformers'`() throws {
        let cases = try #require(
            try JSON.parse(file: Fixtures.path("optim/lr_schedules.json")).array)
        var compared = 0
        for item in cases {
            guard
                let kind = LearningRateSchedule.Kind(rawValue: item["name"]?.string ?? "")
            else { continue }
            let peak = try #require(item["lr"]?.double)
            let total = try #require(item["total_steps"]?.integer)
            let warmup = LearningRateSchedule.warmupSteps(
                try #require(item["warmup_steps_arg"]?.double), totalSteps: total)
            #expect(warmup == item["warmup_steps"]?.integer)
            let kwargs = item["kwargs"]
            let schedule = LearningRateSchedule(
                kind: kind, peak: peak, warmupSteps: warmup, totalSteps: total,
                cycles: kwargs?["num_cycles"]?.double ?? 0.5,
                minimumShare: kwargs?["min_lr_rate"]?.double
                    ?? kwargs?["min_lr"]?.double.map { $0 / peak } ?? 0)
            for (step, rate) in try #require(item["lrs"]?.array).enumerated() {
                let expected = try #require(rate.double)
                #expect(abs(schedule.rate(step: step) - expected) <= 1e-15, "\(kind) step \(step)")
                compared += 1
            }
        }
        #expect(compared > 300)
    }

    @Test func `steps and epochs equal the Trainer's`() throws {
        let cases = try #require(try JSON.parse(file: Fixtures.path("optim/step_plan.json")).array)
        for item in cases {
            let plan = try StepPlan(
                examples: try #require(item["n_examples"]?.integer),
                batchSize: try #require(item["batch"]?.integer),
                accumulation: try #require(item["grad_accum"]?.integer),
                epochs: try #require(item["epochs"]?.double), maxSteps: -1)
            #expect(plan.totalSteps == item["max_steps"]?.integer)
            #expect(plan.epochs == item["num_train_epochs"]?.integer)
            #expect(plan.stepsPerEpoch == item["num_update_steps_per_epoch"]?.integer)
            #expect(plan.microBatchesPerEpoch == item["steps_in_epoch"]?.integer)
        }
    }
}
