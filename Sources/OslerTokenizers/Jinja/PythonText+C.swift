#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What Python takes from the C library too.
extension PythonText {
    /// `%.<precision><type>` of C for `type` in `eEfFgG`.
    static func formatted(_ value: Double, _ type: Character, _ precision: Int) -> String {
        let format = "%.\(precision)\(type)"
        return withVaList([value]) { arguments in
            let size = Int(vsnprintf(nil, 0, format, arguments))
            return withVaList([value]) { arguments in
                var buffer = [CChar](repeating: 0, count: size + 1)
                vsnprintf(&buffer, size + 1, format, arguments)
                return String(
                    decoding: buffer.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
        }
    }

    static func power(_ a: Double, _ b: Double) -> Double { pow(a, b) }

    /// `datetime.now().strftime(format)`.
    static func now(_ format: String) -> String {
        var seconds = time(nil)
        var parts = tm()
        localtime_r(&seconds, &parts)
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = strftime(&buffer, buffer.count, format, &parts)
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
