#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerFormats

/// The libraries that a GPU run needs, none of which is needed to build.
package enum CUDALibrary: String, CaseIterable, Sendable {
    case driver, nvrtc, cublasLt

    /// The environment variable that says which file to take.
    package var override: String {
        switch self {
        case .driver: "OSLER_CUDA_DRIVER"
        case .nvrtc: "OSLER_NVRTC"
        case .cublasLt: "OSLER_CUBLASLT"
        }
    }

    package var title: String {
        switch self {
        case .driver: "NVIDIA driver"
        case .nvrtc: "NVRTC"
        case .cublasLt: "cuBLASLt"
        }
    }

    /// File names, the best first. `driverMajor`: the newest CUDA that the driver runs, which what
    /// newer compilers make doesn't load on.
    func fileNames(driverMajor: Int?) -> [String] {
        let stem = self == .nvrtc ? "libnvrtc.so" : "libcublasLt.so"
        if self == .driver { return ["libcuda.so.1"] }
        let known = (12...max(13, driverMajor ?? 13)).reversed()
        return known.filter { $0 <= driverMajor ?? .max }.map { "\(stem).\($0)" }
    }

    /// Folders of the Python packages `nvidia-*` that have it, for a CUDA of this major version.
    private var packageFolders: [String] {
        switch self {
        case .driver: []
        case .nvrtc: ["nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib"]
        case .cublasLt: ["nvidia/cu13/lib", "nvidia/cublas/lib"]
        }
    }

    /// Every place to look, in order, for `dlopen`: names without a slash are the system's to find.
    ///
    /// The override alone if there is one; else what the system's loader finds, a CUDA toolkit
    /// (`CUDA_HOME`, `CUDA_PATH`, `/usr/local/cuda`), and the Python packages.
    package func candidates(in search: LibrarySearch, driverMajor: Int?) -> [String] {
        if let path = search.environment(override), !path.isEmpty { return [path] }
        let names = fileNames(driverMajor: driverMajor)
        if self == .driver { return names + ["/usr/lib/wsl/lib/libcuda.so.1"] }
        let toolkits =
            ["CUDA_HOME", "CUDA_PATH"].compactMap(search.environment)
            .filter { !$0.isEmpty } + ["/usr/local/cuda"]
        let folders =
            toolkits.flatMap { ["\($0)/lib64", "\($0)/lib"] }
            + search.pythonFolders().flatMap { site in packageFolders.map { "\(site)/\($0)" } }
        let files = folders.flatMap { folder in names.map { FileSystem.join(folder, $0) } }
        return names + files.filter(FileSystem.exists)
    }

    /// The one command that installs it.
    package func installation(driverMajor: Int?, isUbuntu: Bool) -> String {
        let suffix = (driverMajor ?? 13) <= 12 ? "-cu12" : ""
        return switch self {
        case .driver:
            isUbuntu ? "sudo ubuntu-drivers install" : "sudo apt-get install nvidia-driver"
        case .nvrtc: "pip install nvidia-cuda-nvrtc\(suffix)"
        case .cublasLt: "pip install nvidia-cublas\(suffix)"
        }
    }
}

/// What the search for libraries knows of the machine.
package struct LibrarySearch: Sendable {
    package let environment: @Sendable (String) -> String?

    package init(environment: @escaping @Sendable (String) -> String?) {
        self.environment = environment
    }

    /// `site-packages` folders of the Python that `python3` would start, without starting it: the
    /// active virtual environment, the first `python3` of PATH, and the user's own packages.
    func pythonFolders() -> [String] {
        var prefixes = ["VIRTUAL_ENV", "CONDA_PREFIX"].compactMap(environment)
        for folder in (environment("PATH") ?? "").split(separator: ":") {
            let program = FileSystem.join(String(folder), "python3")
            guard FileSystem.exists(program) else { continue }
            // The link's own place first: a virtual environment links to another Python.
            let places = [program, Self.resolved(program)]
            prefixes += places.map { FileSystem.parent(of: FileSystem.parent(of: $0)) }
            break
        }
        if let home = environment("HOME") { prefixes.append(FileSystem.join(home, ".local")) }
        if let root = environment("PYENV_ROOT") ?? environment("HOME").map({ $0 + "/.pyenv" }) {
            let versions = FileSystem.join(root, "versions")
            let names = (try? FileSystem.list(versions)) ?? []
            prefixes += names.map { FileSystem.join(versions, $0) }
        }
        var folders: [String] = []
        for prefix in prefixes where !prefix.isEmpty {
            for library in ["lib", "lib64"] {
                folders += Self.sitePackages(in: FileSystem.join(prefix, library))
            }
        }
        return folders.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// The file behind links.
    private static func resolved(_ path: String) -> String {
        guard let result = realpath(path, nil) else { return path }
        defer { free(result) }
        return String(cString: result)
    }

    private static func sitePackages(in library: String) -> [String] {
        let pythons = ((try? FileSystem.list(library)) ?? []).filter { $0.hasPrefix("python3") }
        return pythons.flatMap { python in
            ["site-packages", "dist-packages"].map { "\(library)/\(python)/\($0)" }
        }.filter(FileSystem.isDirectory)
    }
}
