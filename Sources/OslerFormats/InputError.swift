/// What is wrong with something the user gave: a file, a field in it, an argument.
///
/// Printed as one line: `FILE: FIELD: problem; remedy`. Every reader in Osler throws this, so that
/// the command line can print it and exit with code 1. Errors of our own making are `precondition`
/// failures instead.
public struct InputError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file or folder at fault, if one is.
    public var file: String?
    /// Where in it: a tensor, a key, `line 3, column 7`, `row 12`, `byte 8192`.
    public var field: String?
    /// What was expected and what was found.
    public var problem: String
    /// What the user can do about it.
    public var remedy: String?

    public init(_ problem: String, file: String? = nil, field: String? = nil, remedy: String? = nil)
    {
        (self.file, self.field, self.problem, self.remedy) = (file, field, problem, remedy)
    }

    public var description: String {
        var parts: [String] = []
        if let file { parts.append(file) }
        if let field { parts.append(field) }
        parts.append(problem)
        let line = parts.map(Self.printable).joined(separator: ": ")
        guard let remedy else { return line }
        return line + "; " + Self.printable(remedy)
    }

    /// Longer names and texts from a file are cut.
    private static let longestPart = 2000

    /// Names come from files: what would break the line or command a terminal is escaped.
    private static func printable(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars.prefix(longestPart) {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator:
                line += "\\u{" + String(scalar.value, radix: 16, uppercase: true) + "}"
            default: line.unicodeScalars.append(scalar)
            }
        }
        return text.unicodeScalars.count > longestPart ? line + "..." : line
    }
}
