internal import OslerFormats

extension Report {
    var curves: HTML {
        var charts: [HTML] = []
        func add(_ curve: Curve) { charts.append(curve.html) }
        let before: [(x: Double, y: Double)] =
            record["evaluation_before"]?["eval_loss"]?.double.map { [(0, $0)] } ?? []
        let evaluated = before + points(evaluationLog, "eval_loss")
        add(
            Curve(
                title: "Loss",
                series: [
                    .init(name: "training", color: 0, points: points(trainLog, "loss")),
                    .init(
                        name: "held out", color: 1, points: evaluated,
                        isMarked: evaluated.count <= 40),
                ]))
        for (title, key) in [
            ("Held-out perplexity", "eval_perplexity"),
            ("Held-out token accuracy", "eval_mean_token_accuracy"),
        ] where evaluationLog.count > 1 {
            let points = points(evaluationLog, key)
            add(
                Curve(
                    title: title,
                    series: [
                        .init(name: title, color: 1, points: points, isMarked: points.count <= 40)
                    ]))
        }
        for (title, key) in [
            ("Learning rate", "learning_rate"), ("Gradient norm", "grad_norm"),
            ("Loss scale", "loss_scale"),
            ("Token accuracy in training", "mean_token_accuracy"),
        ] {
            add(
                Curve(
                    title: title,
                    series: [.init(name: title, color: 0, points: points(trainLog, key))],
                    startsAtZero: key != "mean_token_accuracy"))
        }
        let speed = run.steps.compactMap { step -> (x: Double, y: Double)? in
            guard let number = step["step"]?.double, let tokens = step["tokens"]?.double,
                let seconds = step["seconds"]?.double, seconds > 0
            else { return nil }
            return (number, tokens / seconds)
        }
        add(
            Curve(
                title: "Tokens a second",
                series: [.init(name: "tokens a second", color: 0, points: speed)],
                startsAtZero: true))
        add(
            Curve(
                title: "Memory held",
                series: [
                    .init(name: "held", color: 0, points: points(run.steps, "resident_bytes"))
                ],
                level: record["memory_plan"]?["total"]?.double.map { ("planned", $0) },
                startsAtZero: true, format: Figures.bytes, tickFormat: Figures.bytesTick,
                unit: memoryUnit))
        let drawn = charts.filter { !$0.source.isEmpty }
        guard !drawn.isEmpty else { return "" }
        return section("Curves", "<div class=\"charts\">\(drawn)</div>")
    }

    /// Ticks at round numbers of the unit that the axis is labelled in.
    private var memoryUnit: Double {
        let largest = run.steps.compactMap { $0["resident_bytes"]?.double }.max() ?? 0
        let most = max(largest, record["memory_plan"]?["total"]?.double ?? 0)
        return [1_073_741_824, 1_048_576, 1024].first { most >= $0 } ?? 1
    }
}
