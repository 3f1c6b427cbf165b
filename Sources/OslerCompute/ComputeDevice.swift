/// Where a run computes, as people write it: `auto`, `cpu`, `cuda` (the first card), `cuda:1`.
package enum ComputeDevice: Sendable, Equatable, CustomStringConvertible {
    /// A card if one can be used, else the CPU.
    case auto
    case cpu
    case cuda(Int)

    package init?(_ text: String) {
        switch text {
        case "auto": self = .auto
        case "cpu": self = .cpu
        case "cuda": self = .cuda(0)
        default:
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == "cuda", let index = Int(parts[1]), index >= 0,
                String(index) == parts[1]
            else { return nil }
            self = .cuda(index)
        }
    }

    package var description: String {
        switch self {
        case .auto: "auto"
        case .cpu: "cpu"
        case .cuda(let index): "cuda:\(index)"
        }
    }
}

/// How a model lies on devices, as transformers' `device_map` says it.
package enum DeviceMap: String, Sendable {
    /// All of it on one.
    case whole
    /// Over several cards by their memory; what fits on none waits in host memory.
    case auto
}
