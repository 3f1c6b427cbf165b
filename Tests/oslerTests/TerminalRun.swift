import Foundation
import OslerFormats

/// A run of the program at a terminal of its own.
final class TerminalRun {
    private let process = Process()
    private let master: Int32
    private let slave: Int32
    private var screen: [UInt8] = []
    /// Up to where `waitFor` has looked.
    private var seen = 0

    init(_ arguments: [String], columns: UInt16 = 80) throws {
        var (master, slave): (Int32, Int32) = (-1, -1)
        var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        guard openpty(&master, &slave, nil, nil, &size) == 0 else {
            throw InputError("no terminal to be had")
        }
        (self.master, self.slave) = (master, slave)
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0])
        process.executableURL = bundle.deletingLastPathComponent().appendingPathComponent("osler")
        process.arguments = arguments
        var environment = ProcessInfo.processInfo.environment
        (environment["TERM"], environment["NO_COLOR"]) = ("xterm", nil)
        process.environment = environment
        let terminal = FileHandle(fileDescriptor: slave)
        (process.standardInput, process.standardOutput) = (terminal, terminal)
        process.standardError = terminal
        try process.run()
    }

    deinit {
        if process.isRunning { process.terminate() }
        close(master)
        close(slave)
    }

    func type(_ keys: String) throws {
        var rest = Array(keys.utf8)[...]
        while !rest.isEmpty {
            // A terminal takes little at a time, and nothing more while its echo is not read.
            guard try wait(for: POLLIN | POLLOUT) & Int16(POLLOUT) != 0 else {
                try fill()
                continue
            }
            let count = rest.prefix(64).withUnsafeBytes { write(master, $0.baseAddress, $0.count) }
            guard count > 0 else { throw InputError("the terminal takes no input") }
            rest = rest.dropFirst(count)
        }
    }

    /// What of `events` the terminal is ready for.
    private func wait(for events: Int32) throws -> Int16 {
        var state = pollfd(fd: master, events: Int16(events), revents: 0)
        // Only a program that is stuck waits this long.
        guard poll(&state, 1, 120_000) > 0 else {
            let text = String(decoding: screen[seen...].suffix(400), as: UTF8.self)
            throw InputError("nothing more came after: \(text)")
        }
        return state.revents
    }

    func interrupt() { process.interrupt() }

    /// Local modes, and whether it is as before.
    func mode() throws -> UInt32 {
        var mode = termios()
        guard tcgetattr(slave, &mode) == 0 else { throw InputError("no terminal") }
        return UInt32(mode.c_lflag)
    }

    /// Everything since the last one up to the next prompt.
    @discardableResult
    func waitForPrompt() throws -> String { try waitFor("> \u{1B}[?2004h") }

    /// Any text.
    func waitForText() throws {
        let before = screen.count
        while screen.count < before + 20 { try fill() }
    }

    @discardableResult
    func waitFor(_ text: String) throws -> String {
        let wanted = Array(text.utf8)
        while true {
            if let range = screen[seen...].firstRange(of: wanted) {
                defer { seen = range.upperBound }
                return String(decoding: screen[seen..<range.upperBound], as: UTF8.self)
            }
            try fill()
        }
    }

    private func fill() throws {
        _ = try wait(for: POLLIN)
        var block = [UInt8](repeating: 0, count: 4096)
        let count = read(master, &block, block.count)
        guard count > 0 else { throw InputError("the terminal was closed") }
        screen += block[..<count]
    }

    /// The exit code.
    func end() throws -> Int {
        process.waitUntilExit()
        return Int(process.terminationStatus)
    }
}
