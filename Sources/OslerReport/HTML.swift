/// Text that is HTML already. Literals are taken as they stand; a `String` put into one is escaped, so whatever comes from
/// a file or a model can't become markup, and only `HTML` goes in unchanged.
package struct HTML: Sendable, Equatable, ExpressibleByStringInterpolation {
    package private(set) var source: String

    package init(stringLiteral value: String) { source = value }
    package init(stringInterpolation: StringInterpolation) { source = stringInterpolation.source }

    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var source = ""

        package init(literalCapacity: Int, interpolationCount: Int) {}
        package mutating func appendLiteral(_ literal: String) { source += literal }
        package mutating func appendInterpolation(_ html: HTML) { source += html.source }
        package mutating func appendInterpolation(_ list: [HTML]) {
            for html in list { source += html.source }
        }
        package mutating func appendInterpolation(_ text: String) { source += HTML.escaped(text) }
        package mutating func appendInterpolation(_ number: Int) { source += String(number) }
    }

    /// Safe as text and in a quoted attribute. Characters that HTML has no place for become U+FFFD.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\n", "\t": result.unicodeScalars.append(scalar)
            case "\r": break
            case _ where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value):
                result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    static func + (left: HTML, right: HTML) -> HTML { "\(left)\(right)" }
}

extension String.StringInterpolation {
    /// In a `String` markup would become text.
    @available(*, deprecated, message: "give the literal the type HTML")
    mutating func appendInterpolation(_ html: HTML) { appendLiteral(html.source) }
}
