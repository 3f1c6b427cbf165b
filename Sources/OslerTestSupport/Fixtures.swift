#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Where golden files are: the project's own under `Tests/Fixtures`, the full set in `../shared/reference` beside the
/// checkout, which a newcomer doesn't have.
package enum Fixtures {
    /// The checkout: three folders above this file.
    package static let root: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        return parts.joined(separator: "/")
    }()

    /// `Tests/Fixtures/<name>`.
    package static func path(_ name: String) -> String { root + "/Tests/Fixtures/" + name }

    /// `../shared/reference/<name>`, or nil when it is not there.
    package static func shared(_ name: String) -> String? {
        let path = root + "/../shared/reference/" + name
        return access(path, R_OK) == 0 ? path : nil
    }
    package static var sharedIsThere: Bool { shared("README.md") != nil }
}

extension Fixtures {
    /// A path that nothing has, in the system's temporary folder.
    package static func temporaryFolder() -> String {
        "/tmp/osler-test-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
    }
}
