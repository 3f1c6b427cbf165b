import OslerFormats
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct `Files` {
    let folder = TemporaryFolder()

    @Test func `a written file is read back, mapped or not`() throws {
        let path = folder.file("a.txt")
        try AtomicFile.write("Grüße", to: path)
        #expect(try FileSystem.readText(path) == "Grüße")
        #expect(try MappedFile(path).withBytes { $0.elementsEqual("Grüße".utf8) })
        #expect(try FileSystem.list(folder.path) == ["a.txt"])
        #expect(FileSystem.size(path) == 7)
    }

    @Test func `an error is one printable line`() {
        let error = InputError(
            "bad\u{1B}[2J\u{85}", file: "a\nb", field: "k\u{2028}\u{0}", remedy: "say \"ä\"\t")
        #expect(
            error.description
                == #"a\u{A}b: k\u{2028}\u{0}: bad\u{1B}[2J\u{85}; say "ä"\u{9}"#)
        let long = InputError("p", field: String(repeating: "k", count: 1_000_000))
        #expect(long.description == String(repeating: "k", count: 2000) + "...: p")
    }

    @Test func `an empty file maps to no bytes`() throws {
        #expect(try MappedFile(folder.write([], "empty")).withBytes { $0.isEmpty })
    }

    @Test func `released pages are read again`() throws {
        let path = try folder.write([UInt8](repeating: 7, count: 50_000), "a")
        let file = try MappedFile(path)
        for range in [0..<50_000, 5000..<10_000, 40_000..<50_000, 1..<2] { file.release(range) }
        #expect(file.withBytes { $0.allSatisfy { $0 == 7 } })
    }

    @Test func `text that is not UTF-8 is refused`() throws {
        let path = try folder.write([0x61, 0xC3], "latin")
        #expect(
            inputError { _ = try FileSystem.readText(path) } == "\(path): is not valid UTF-8 text")
    }

    @Test func `what cannot be read says why`() {
        let missing = folder.file("missing")
        let reason = ": cannot be read (No such file or directory)"
        #expect(inputError { _ = try MappedFile(missing) } == missing + reason)
        #expect(inputError { _ = try FileSystem.read(missing) } == missing + reason)
        #expect(
            inputError { _ = try MappedFile(folder.path) }
                == "\(folder.path): is a folder where a file was expected")
        #expect(
            inputError { _ = try MappedFile("/dev/null") }
                == "/dev/null: is not a regular file where a file was expected")
        #expect(inputError { _ = try FileSystem.list(missing) }?.hasPrefix(missing) == true)
    }

    @Test func `folders are made with those above, and removed with all in them`() throws {
        let deep = folder.file("a/b/c/")
        try FileSystem.createDirectories(deep)
        try FileSystem.createDirectories(deep)
        #expect(FileSystem.isDirectory(deep))
        try AtomicFile.write("x", to: deep + "x")
        #expect(symlink("/", folder.file("a/link")) == 0)
        try FileSystem.remove(folder.file("a"))
        #expect(try FileSystem.list(folder.path) == [])
        try FileSystem.remove(folder.file("a"))
    }

    @Test func `a folder cannot be made below a file`() throws {
        let path = try folder.write([1], "file")
        #expect(inputError { try FileSystem.createDirectories(path + "/below") } != nil)
        #expect(inputError { try FileSystem.createDirectories(path) } != nil)
    }

    @Test(arguments: [
        ("a/b", "a", "b"), ("b", ".", "b"), ("/b", "/", "b"), ("a//b/", "a", "b"), ("/", "/", "/"),
    ])
    func `paths have a parent and a name`(_ path: String, _ parent: String, _ name: String) {
        #expect(FileSystem.parent(of: path) == parent)
        if path != "/" { #expect(FileSystem.name(of: path) == name) }
    }
}

@Suite struct `Atomic writing` {
    let folder = TemporaryFolder()

    @Test func `a file that is not committed leaves the former one`() throws {
        let path = try folder.write([1], "a")
        do {
            var file = try AtomicFile(path)
            try file.write("half")
        }
        #expect(try FileSystem.read(path) == [1])
        #expect(try FileSystem.list(folder.path) == ["a"])
    }

    @Test func `a committed file replaces the former one`() throws {
        let path = try folder.write([1], "a")
        var file = try AtomicFile(path)
        try file.write("one ")
        try file.write("two")
        #expect(try FileSystem.read(path) == [1])
        try file.commit()
        #expect(try FileSystem.readText(path) == "one two")
        #expect(try FileSystem.list(folder.path) == ["a"])
    }

    @Test func `a folder appears with commit and replaces the former one`() throws {
        let path = folder.file("new/checkpoint-1")
        for text in ["first", "second"] {
            let atomic = try AtomicFolder(path)
            try atomic.fill { place in
                try FileSystem.createDirectories(place + "/sub")
                try AtomicFile.write(text, to: place + "/sub/state")
            }
            #expect(FileSystem.exists(path) == (text == "second"))
            try atomic.commit()
            #expect(try FileSystem.readText(path + "/sub/state") == text)
            #expect(try FileSystem.list(folder.file("new")) == ["checkpoint-1"])
        }
    }

    @Test func `a folder that is not committed leaves nothing`() throws {
        func fill() throws {
            let atomic = try AtomicFolder(folder.file("out"))
            try atomic.fill { place in
                try AtomicFile.write("x", to: place + "/x")
                try AtomicFile.write("x", to: place + "/sub/x")
            }
        }
        // The error names the place under the folder's own name.
        #expect(inputError { try fill() }?.hasPrefix(folder.file("out/sub/x") + ":") == true)
        #expect(try FileSystem.list(folder.path) == [])
    }

    @Test func `a missing folder is named`() {
        let path = folder.file("no/such/file")
        #expect(
            inputError { try AtomicFile.write("x", to: path) }
                == "\(path): cannot be written (No such file or directory)")
    }

    @Test(.enabled(if: getuid() != 0, "root may write anywhere"))
    func `an unwritable folder is named`() throws {
        chmod(folder.path, 0o500)
        defer { chmod(folder.path, 0o700) }
        let path = folder.file("a")
        let expected = "\(path): cannot be written (Permission denied); check its permissions"
        #expect(inputError { try AtomicFile.write("x", to: path) } == expected)
        #expect(inputError { _ = try AtomicFolder(path) } == expected)
    }

    @Test(.enabled(if: access("/dev/full", W_OK) == 0)) func `a full disk gives one clear line`() {
        let descriptor = open("/dev/full", O_WRONLY)
        defer { close(descriptor) }
        let error = inputError {
            try [UInt8](repeating: 1, count: 10).withUnsafeBytes {
                try FileSystem.write($0, to: descriptor, path: "out/model.safetensors")
            }
        }
        #expect(
            error == "out/model.safetensors: cannot be written (No space left on device); "
                + "free some space or choose another folder")
    }

    @Test func `a file that grows too large leaves nothing behind`() async {
        await #expect(processExitsWith: .success) {
            let folder = TemporaryFolder()
            let path = folder.file("a")
            limitFileSize(to: 100_000)
            let error = inputError {
                try AtomicFile.write([UInt8](repeating: 1, count: 200_000), to: path)
            }
            #expect(error?.hasPrefix("\(path): cannot be written (File too large)") == true)
            let left = try? FileSystem.list(folder.path)
            #expect(left == [])
        }
    }
}

/// Makes writes beyond `bytes` of a file fail in this process, as on a full disk.
private func limitFileSize(to bytes: UInt) {
    signal(SIGXFSZ, SIG_IGN)
    var limit = rlimit(rlim_cur: rlim_t(bytes), rlim_max: rlim_t(bytes))
    #if canImport(Glibc)
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    #else
        setrlimit(RLIMIT_FSIZE, &limit)
    #endif
}
