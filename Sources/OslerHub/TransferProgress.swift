/// How far a download is.
package struct TransferProgress: Sendable {
    /// Bytes that are on the disk, and that there will be.
    package var doneBytes: Int
    package var totalBytes: Int
    /// Of the last seconds; nil at first.
    package var bytesPerSecond: Double?

    package init(doneBytes: Int, totalBytes: Int, bytesPerSecond: Double?) {
        (self.doneBytes, self.totalBytes) = (doneBytes, totalBytes)
        self.bytesPerSecond = bytesPerSecond
    }

    package var secondsLeft: Double? {
        bytesPerSecond.flatMap { $0 > 0 ? Double(totalBytes - doneBytes) / $0 : nil }
    }
}

/// The rate over the last seconds, from what is done at times that are told.
package struct TransferRate {
    private var points: [(time: Double, bytes: Int)] = []
    private static let window = 10.0

    package init() {}

    package mutating func add(_ bytes: Int, at time: Double) {
        // A restart takes bytes back; what came before says nothing then.
        if let last = points.last, bytes < last.bytes { points = [] }
        points.append((time, bytes))
        let before = points.firstIndex { $0.time >= time - Self.window } ?? 0
        points.removeFirst(max(0, before - 1))
    }

    package var bytesPerSecond: Double? {
        guard let first = points.first, let last = points.last, last.time - first.time >= 0.5 else {
            return nil
        }
        return Double(last.bytes - first.bytes) / (last.time - first.time)
    }
}
