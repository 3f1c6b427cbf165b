internal import OslerFormats

/// A repository of the hub at a revision.
package struct HubRepository: Sendable, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable, CaseIterable {
        case model, dataset
        /// As in the names of the cache's folders and in the hub's interface.
        package var plural: String { rawValue + "s" }
    }

    package let kind: Kind
    /// `org/name`, or a bare name such as `gpt2`.
    package let id: String
    /// A branch, a tag or a commit.
    package let revision: String

    package static let defaultRevision = "main"

    /// - Throws: `InputError` for a name or revision that the hub can't have.
    package init(_ kind: Kind, _ id: String, revision: String? = nil) throws {
        guard Self.isName(id) else {
            throw InputError(
                "\"\(id)\" is no name of a repository", remedy: "give one such as org/name")
        }
        let revision = revision ?? Self.defaultRevision
        guard isSafeRelativePath(revision) else {
            throw InputError(
                "\"\(revision)\" is no branch, tag or commit", file: id, field: "revision")
        }
        (self.kind, self.id, self.revision) = (kind, id, revision)
    }

    /// Whether `text` has the form of a repository's name: one or two parts of letters, digits and `-._`.
    package static func isName(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return (1...2).contains(parts.count) && text.utf8.count <= 96 && !text.contains("--")
            && !text.contains("..")
            && parts.allSatisfy { part in
                part.first.map { $0 != "." && $0 != "-" } == true && part.last != "."
                    && part.last != "-"
                    && part.utf8.allSatisfy { byte in
                        let character = Character(UnicodeScalar(byte))
                        return byte < 0x80
                            && (character.isLetter || character.isNumber
                                || "-._".contains(character))
                    }
            }
    }

    /// Its folder in the cache: `models--org--name`.
    package var folderName: String {
        kind.plural + "--" + id.split(separator: "/").joined(separator: "--")
    }

    /// Whether the revision can mean nothing else than one commit.
    package var isCommit: Bool { Self.isCommit(revision) }

    package static func isCommit(_ text: String) -> Bool { text.utf8.count == 40 && isHex(text) }

    package var description: String { revision == Self.defaultRevision ? id : id + "@" + revision }
}

/// Lower-case hexadecimal digits only.
func isHex(_ text: String) -> Bool {
    text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
}

/// Whether `path`, from a server, stays below the folder that it is put in.
func isSafeRelativePath(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return path.utf8.count <= 1024
        && path.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F && $0 != "\\" }
        && parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." && $0.utf8.count <= 255 }
}
