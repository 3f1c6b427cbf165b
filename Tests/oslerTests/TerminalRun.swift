import Foundation
import OslerFormats

/// A run of the program at a terminal of its own, which turns Ctrl-C into a signal as a real one does.
final class TerminalRun {
    private let process: pid_t
    private let master: Int32
    private let slave: Int32
    private var hasEnded = false
    private var screen: [UInt8] = []
    /// Up to where `waitFor` has looked.
    private var seen = 0

    init(_ arguments: [String], columns: UInt16 = 80, locale: String? = nil) throws {
        var (master, slave): (Int32, Int32) = (-1, -1)
        var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        var name = [CChar](repeating: 0, count: 128)
        // Not ttyname, whose one buffer the tests that run beside this one share.
        guard openpty(&master, &slave, nil, nil, &size) == 0,
            ttyname_r(slave, &name, name.count) == 0
        else { throw InputError("no terminal to be had") }
        (self.master, self.slave) = (master, slave)
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0])
        let program = bundle.deletingLastPathComponent().appendingPathComponent("osler").path
        process = try Self.spawn(
            [program] + arguments, terminal: name,
            locale: locale)
    }

    /// Starts a session of its own. The first terminal that it opens becomes its own; signals, which the threads of the
    /// tests hold back, reach it.
    private static func spawn(
        _ arguments: [String], terminal: [CChar], locale: String?
    ) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGINT)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let setsSession: Int32 = 0x80
        posix_spawnattr_setflags(
            &attributes,
            Int16(setsSession | Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)))
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_addopen(&files, 0, terminal, O_RDWR, 0)
        for descriptor: Int32 in [1, 2] { posix_spawn_file_actions_adddup2(&files, 0, descriptor) }
        var environment = ProcessInfo.processInfo.environment
        (environment["TERM"], environment["NO_COLOR"]) = ("xterm", nil)
        if let locale { environment["LC_ALL"] = locale }
        var process: pid_t = 0
        let code = withCStrings(arguments) { arguments in
            withCStrings(environment.map { "\($0)=\($1)" }) { environment in
                posix_spawn(&process, arguments[0]!, &files, &attributes, arguments, environment)
            }
        }
        guard code == 0 else { throw InputError(String(cString: strerror(code))) }
        return process
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }

    /// Ends it at once, whatever it is doing.
    func kill() {
        guard !hasEnded else { return }
        Foundation.kill(process, SIGKILL)
        waitpid(process, nil, 0)
        hasEnded = true
    }

    deinit {
        kill()
        close(master)
        close(slave)
    }

    /// Ctrl-C is `"\u{3}"`.
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
        guard poll(&state, 1, 180_000) > 0 else {
            let text = String(decoding: screen[seen...].suffix(400), as: UTF8.self)
            throw InputError("nothing more came after: \(text)")
        }
        return state.revents
    }

    /// The terminal's local modes: echo, lines, signals.
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

    /// The exit code; -1 for the end by a signal.
    func end() throws -> Int {
        var status: Int32 = 0
        guard waitpid(process, &status, 0) == process else { throw InputError("no process") }
        hasEnded = true
        return status & 0x7F == 0 ? Int(status >> 8 & 0xFF) : -1
    }
}
