import OslerFormats
extension JSON { var compactText: String { "" } }
struct TorchGenerator { init(seed: UInt64) {}; mutating func uniform(count: Int, in r: ClosedRange<Float>) -> [Float] { [] } }
