/// An http or https address, in the parts that decide who gets the token.
package struct WebAddress: Sendable, Equatable, CustomStringConvertible {
    /// `http` or `https`.
    package let scheme: String
    /// Lower case, with the port where it is named: `hub.example:8443`.
    package let host: String
    /// Path and query, from the first slash.
    package let path: String

    package init?(_ text: String) {
        guard let mark = text.firstRange(of: "://") else { return nil }
        let scheme = text[..<mark.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        let rest = text[mark.upperBound...]
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        let host = rest[..<end].lowercased()
        // A name before @ would be sent as a password; spaces and controls end a header.
        guard !host.isEmpty, !host.contains("@"),
            text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F })
        else { return nil }
        (self.scheme, self.host) = (scheme, host)
        let path = String(rest[end...].prefix { $0 != "#" })
        self.path = path.hasPrefix("/") ? path : "/" + path
    }

    package var description: String { scheme + "://" + host + path }

    /// Same scheme, host and port.
    package func hasSameOrigin(as other: WebAddress) -> Bool {
        scheme == other.scheme && withPort == other.withPort
    }

    private var withPort: String {
        let digits = host.reversed().prefix { $0.isASCII && $0.isNumber }
        let named = !digits.isEmpty && host.dropLast(digits.count).hasSuffix(":")
        return named ? host : host + (scheme == "https" ? ":443" : ":80")
    }

    /// Where a `Location` header points to.
    package func redirected(to location: String) -> WebAddress? {
        if location.contains("://") { return WebAddress(location) }
        if location.hasPrefix("//") { return WebAddress(scheme + ":" + location) }
        if location.hasPrefix("/") { return WebAddress(scheme + "://" + host + location) }
        let folder = path.prefix { $0 != "?" }.split(
            separator: "/", omittingEmptySubsequences: false)
        return WebAddress(
            scheme + "://" + host + folder.dropLast().joined(separator: "/") + "/" + location)
    }

    /// For a path: everything but letters, digits and `-._~/` as `%XX`.
    package static func escaped(_ text: String, keepingSlashes: Bool = true) -> String {
        let hex = Array("0123456789ABCDEF")
        var result = ""
        for byte in text.utf8 {
            let character = Character(UnicodeScalar(byte))
            let isPlain =
                byte < 0x80 && (character.isLetter || character.isNumber)
                || "-._~".contains(character) || keepingSlashes && character == "/"
            result += isPlain ? String(character) : "%\(hex[Int(byte >> 4)])\(hex[Int(byte & 15)])"
        }
        return result
    }
}
