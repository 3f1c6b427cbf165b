/// Text that is being typed: turns the bytes that a terminal sends into text, and editing keys into changes of its end.
///
/// What a terminal marks as pasted keeps its line ends (`ESC [200~` to `ESC [201~`).
struct LineBuffer {
    enum Event: Equatable {
        case none
        /// Enter was pressed.
        case submitted
        /// Ctrl-D on an empty line.
        case ended
        /// Ctrl-C.
        case interrupted
    }

    private(set) var text = ""
    /// Bytes of a character that is not complete.
    private var partial: [UInt8] = []
    private var escape = Escape.none
    private var isPasting = false
    private var isAfterReturn = false

    private enum Escape: Equatable {
        case none, started, single
        case sequence([UInt8])
    }

    /// Takes the next byte. After `submitted` the text is complete.
    mutating func push(_ byte: UInt8) -> Event {
        if escape != .none {
            continueEscape(byte)
            return .none
        }
        let isSecondOfLineEnd = isAfterReturn && byte == 0x0A
        isAfterReturn = byte == 0x0D
        switch byte {
        case 0x1B: escape = .started
        case 0x0A, 0x0D:
            if !isPasting { return .submitted }
            if !isSecondOfLineEnd { text += "\n" }
        case 0x09: text += "\t"
        case 0x00..<0x20 where isPasting: break
        case 0x03: return .interrupted
        case 0x04: return text.isEmpty ? .ended : .none
        case 0x08, 0x7F: if !text.isEmpty { text.removeLast() }
        case 0x15: text = ""
        case 0x17: removeLastWord()
        case 0x00..<0x20: break
        default: append(byte)
        }
        return .none
    }

    private mutating func append(_ byte: UInt8) {
        // A first byte ends a character that never became complete.
        if byte & 0xC0 != 0x80 { partial = [] }
        partial.append(byte)
        guard let character = String(validating: partial, as: UTF8.self) else { return }
        text += character
        partial = []
    }

    private mutating func removeLastWord() {
        while text.last?.isWhitespace == true { text.removeLast() }
        while let last = text.last, !last.isWhitespace { text.removeLast() }
    }

    /// Arrow keys and their like are read over.
    private mutating func continueEscape(_ byte: UInt8) {
        switch escape {
        case .none: break
        case .single: escape = .none
        case .started:
            switch byte {
            case UInt8(ascii: "["): escape = .sequence([])
            case UInt8(ascii: "O"): escape = .single
            default: escape = .none
            }
        case .sequence(let bytes):
            guard (0x40...0x7E).contains(byte) else {
                escape = .sequence(bytes + [byte])
                return
            }
            escape = .none
            if byte == UInt8(ascii: "~") {
                if bytes.elementsEqual("200".utf8) { isPasting = true }
                if bytes.elementsEqual("201".utf8) { isPasting = false }
            }
        }
    }
}
