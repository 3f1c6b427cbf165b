#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerCompute
internal import OslerFormats

extension Profile {
    /// `OSLER_PROFILE=1` asks for a profile where there is no flag.
    static var isWantedByEnvironment: Bool {
        guard let value = getenv("OSLER_PROFILE") else { return false }
        return !["", "0"].contains(String(cString: value))
    }

    private static let columns: [(title: String, width: Int)] = [
        ("calls", 9), ("seconds", 10), ("share", 8), ("GFLOP/s", 9), ("GB/s", 8),
    ]

    /// One row an operation, the dearest first.
    var table: String {
        let labels = entries.map(\.operation.label) + ["operation", "between operations"]
        let width = labels.map(\.count).max() ?? 0
        func row(_ label: String, _ cells: [String]) -> String {
            "  " + label.rightPadded(width)
                + zip(cells, Self.columns).map { $0.leftPadded($1.width) }.joined()
        }
        let rows = entries.map { entry in
            let (cost, rate) = (entry.cost, entry.gigaflopsPerSecond)
            return row(
                entry.operation.label,
                [
                    entry.calls.grouped, entry.seconds.fixed(3), share(entry.seconds),
                    cost.flops > 0 ? rate.fixed(1) : "",
                    cost.bytes > 0 ? entry.gigabytesPerSecond.fixed(2) : "",
                ])
        }
        let title = "profile: \(seconds.fixed(1)) s, in operations \(operationSeconds.fixed(1)) s"
        return
            ([title, row("operation", Self.columns.map(\.title))] + rows
            + [row("between operations", ["", betweenSeconds.fixed(3), share(betweenSeconds)])])
            .joined(separator: "\n")
    }

    private func share(_ part: Double) -> String {
        (part / max(seconds, 1e-9) * 100).fixed(1) + " %"
    }

    var json: JSON {
        .object([
            "seconds": .number(seconds), "operation_seconds": .number(operationSeconds),
            "between_seconds": .number(betweenSeconds),
            "operations": .array(entries.map { $0.json(total: seconds) }),
        ])
    }
}

extension Profile.Entry {
    fileprivate func json(total: Double) -> JSON {
        var object: JSON.Object = ["operation": .string(operation.operation.rawValue)]
        if let product = operation.product {
            object["role"] = .string(product.role.rawValue)
            object["weight"] = .string(product.format)
            object["shape"] = .array([.integer(product.rows), .integer(product.columns)])
            object["further_products"] = .integer(product.furtherProducts)
            object["further_outputs"] = .integer(product.furtherOutputs)
        }
        object["calls"] = .integer(calls)
        object["seconds"] = .number(seconds)
        object["share"] = .number(seconds / max(total, 1e-9))
        object["gflop"] = .number(Double(cost.flops) / 1e9)
        object["gigabytes"] = .number(Double(cost.bytes) / 1e9)
        object["gflops_per_second"] = .number(gigaflopsPerSecond)
        object["gigabytes_per_second"] = .number(gigabytesPerSecond)
        return .object(object)
    }
}

extension ProfiledOperation {
    /// `multiply forward nf4 576 x 1536 +3 in 2`: 3 more products in the same call, which has 2 outputs.
    fileprivate var label: String {
        guard let product else { return operation.rawValue }
        let parts = [
            operation.rawValue, product.role.rawValue, product.format,
            "\(product.rows) x \(product.columns)",
            product.furtherProducts > 0 ? "+\(product.furtherProducts)" : "",
            product.furtherOutputs > 0 ? "in \(product.furtherOutputs + 1)" : "",
        ]
        return parts.filter { !$0.isEmpty }.joined(separator: " ")
    }
}
