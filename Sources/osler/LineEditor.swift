internal import OslerFormats
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Reads messages at a terminal. The kernel's own lines end at 4,095 bytes without a word, and a paste falls apart at its
/// line ends; here a message is as long as it is, and a paste is one message.
///
/// The terminal is changed only while a message is typed, so that it is as it was whatever happens meanwhile.
final class LineEditor {
    private let prompt: String
    private let output: Output
    /// What was read and belongs to the next message.
    private var pending: [UInt8] = []

    /// Nil where standard input or output is no terminal, or one that can't move its cursor.
    init?(prompt: String, output: Output) {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1,
            let name = getenv("TERM"), strcmp(name, "dumb") != 0
        else { return nil }
        (self.prompt, self.output) = (prompt, output)
    }

    /// The next message; nil at the end of input, and for Ctrl-C.
    func next() throws -> (text: String, event: LineBuffer.Event) {
        var former = termios()
        guard tcgetattr(STDIN_FILENO, &former) == 0 else { return ("", .ended) }
        var mode = former
        mode.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
        withUnsafeMutableBytes(of: &mode.c_cc) { keys in
            (keys[Int(VMIN)], keys[Int(VTIME)]) = (1, 0)
        }
        tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
        defer { tcsetattr(STDIN_FILENO, TCSADRAIN, &former) }
        try output.write(prompt + "\u{1B}[?2004h")
        try output.flush()
        defer {
            try? output.write("\u{1B}[?2004l\n")
            try? output.flush()
        }
        return try edit()
    }

    private func edit() throws -> (text: String, event: LineBuffer.Event) {
        var line = LineBuffer()
        while true {
            let shown = line.text
            for (index, byte) in pending.enumerated() {
                let event = line.push(byte)
                guard event != .none else { continue }
                pending.removeFirst(index + 1)
                try redraw(from: shown, to: line.text)
                return (line.text, event)
            }
            pending = []
            try redraw(from: shown, to: line.text)
            try output.flush()
            guard fill() else { return (line.text, .ended) }
        }
    }

    /// Waits for bytes; false at the end of input.
    private func fill() -> Bool {
        var block = [UInt8](repeating: 0, count: 1 << 16)
        var count = 0
        repeat {
            count = read(STDIN_FILENO, &block, block.count)
        } while count < 0 && errno == EINTR
        pending = Array(block.prefix(max(0, count)))
        return count > 0
    }

    // MARK: Drawing

    /// Erases what is no longer there and writes what is new.
    private func redraw(from old: String, to new: String) throws {
        let common = zip(old, new).prefix { $0 == $1 }.count
        let kept = String(new.prefix(common))
        if common < old.count {
            let columns = Self.columns()
            let (from, to) = (place(after: old, columns), place(after: kept, columns))
            if from.row > to.row { try output.write("\u{1B}[\(from.row - to.row)A") }
            // At the right edge the cursor stands on the last character, which is written again.
            let last = to.column == columns ? (prompt + kept).last : nil
            let column = to.column - (last.map(Self.width) ?? 0)
            try output.write("\u{1B}[\(column + 1)G\u{1B}[J" + (last.map(Self.visible) ?? ""))
        }
        try output.write(new.dropFirst(common).map(Self.visible).joined())
    }

    /// Row and column of the cursor behind the prompt and `text`; the column is `columns` at the right edge.
    private func place(after text: String, _ columns: Int) -> (row: Int, column: Int) {
        var (row, column) = (0, 0)
        for character in prompt + text {
            if character.isNewline {
                (row, column) = (row + 1, 0)
                continue
            }
            let width = Self.width(character)
            if column + width > columns { (row, column) = (row + 1, 0) }
            column += width
        }
        return (row, column)
    }

    private static func visible(_ character: Character) -> String {
        character == "\t" ? "    " : String(character)
    }

    private static func width(_ character: Character) -> Int {
        character == "\t" ? 4 : character.unicodeScalars.map(\.terminalWidth).max() ?? 0
    }

    private static func columns() -> Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

extension Unicode.Scalar {
    /// Scripts that are two cells wide (Unicode's East Asian Width: W and F), as terminals draw them.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0xA4CF,
        0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF01...0xFF60,
        0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD,
    ]

    /// Cells of a terminal that it takes.
    fileprivate var terminalWidth: Int {
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: return 0
        default: break
        }
        let isWide = properties.isEmojiPresentation || Self.wide.contains { $0.contains(value) }
        return isWide ? 2 : 1
    }
}
