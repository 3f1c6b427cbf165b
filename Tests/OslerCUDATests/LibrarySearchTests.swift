import OslerCUDA
import OslerCompute
import OslerFormats
import OslerTestSupport
import Testing

/// Where libraries are looked for, and what is said when they aren't there.
@Suite struct LibrarySearchTests {
    private func search(_ values: [String: String]) -> LibrarySearch {
        LibrarySearch { values[$0] }
    }

    private func place(_ file: String, in folder: String) throws {
        try FileSystem.createDirectories(folder)
        try AtomicFile.write("not a library", to: FileSystem.join(folder, file))
    }

    @Test func `an override is the only place`() {
        for library in CUDALibrary.allCases {
            let found = library.candidates(
                in: search([library.override: "/x/y.so", "CUDA_HOME": "/cuda"]), driverMajor: 13)
            #expect(found == ["/x/y.so"])
        }
    }

    @Test func `the system comes before a toolkit and Python's packages`() throws {
        let root = Fixtures.temporaryFolder()
        defer { try? FileSystem.remove(root) }
        let packages = root + "/venv/lib/python3.12/site-packages/nvidia"
        try place("libnvrtc.so.13", in: root + "/cuda/lib64")
        try place("libnvrtc.so.13", in: packages + "/cu13/lib")
        try place("libnvrtc.so.12", in: packages + "/cuda_nvrtc/lib")
        let found = CUDALibrary.nvrtc.candidates(
            in: search(["CUDA_HOME": root + "/cuda", "VIRTUAL_ENV": root + "/venv"]),
            driverMajor: 13)
        #expect(
            found.filter { !$0.hasPrefix("/usr") } == [
                "libnvrtc.so.13", "libnvrtc.so.12", root + "/cuda/lib64/libnvrtc.so.13",
                packages + "/cu13/lib/libnvrtc.so.13", packages + "/cuda_nvrtc/lib/libnvrtc.so.12",
            ])
    }

    /// What a newer CUDA's compiler makes doesn't load on an older driver.
    @Test func `an old driver gets old libraries`() throws {
        let root = Fixtures.temporaryFolder()
        defer { try? FileSystem.remove(root) }
        try place("python3", in: root + "/bin")
        try place("libcublasLt.so.13", in: root + "/lib/python3.11/site-packages/nvidia/cu13/lib")
        try place("libcublasLt.so.12", in: root + "/lib/python3.11/site-packages/nvidia/cublas/lib")
        let found = CUDALibrary.cublasLt.candidates(
            in: search(["PATH": "/nowhere:" + root + "/bin"]), driverMajor: 12)
        #expect(!found.contains { $0.hasSuffix(".13") })
        #expect(found.first == "libcublasLt.so.12")
        #expect(found.contains { $0.hasPrefix(root) && $0.hasSuffix(".12") })
    }

    @Test func `a library that is missing is named with the command that installs it`() throws {
        let broken = Fixtures.temporaryFolder()
        defer { try? FileSystem.remove(broken) }
        try place("libnvrtc.so", in: broken)
        let file = broken + "/libnvrtc.so"
        let error = #expect(throws: CUDAError.self) {
            try search(["OSLER_NVRTC": file]).nvrtc(driverMajor: 13)
        }
        #expect(error?.description.contains(file) == true)
        #expect(error?.remedy == "set OSLER_NVRTC to the library's file, or unset it")

        let missing = search(["OSLER_CUDA_DRIVER": "/nowhere/libcuda.so.1"])
        #expect(throws: CUDAError.self) {
            try CUDABackend(precision: .float32, search: missing)
        }
    }

    @Test func `a library without the functions is refused by the first that lacks`() throws {
        guard let simulator = Simulator.library else { throw Simulator.Missing() }
        // The simulator has every table's functions, libc none of them.
        #expect(throws: Never.self) {
            try search(["OSLER_CUBLASLT": simulator]).cublasLt(driverMajor: 13)
        }
        let error = #expect(throws: CUDAError.self) {
            try search(["OSLER_CUBLASLT": "libc.so.6"]).cublasLt(driverMajor: 13)
        }
        #expect(error?.problem.contains("libc.so.6 has no cublasLtGetVersion") == true)
    }

    @Test func `a card that isn't there is refused`() throws {
        let search = try Simulator.search()
        let error = #expect(throws: CUDAError.self) {
            try CUDABackend(precision: .float32, device: 7, search: search)
        }
        #expect(error?.problem == "there is one GPU")
        #expect(error?.remedy == "ask for cuda:0")
    }

    @Test func `the survey finds all three in the simulator`() throws {
        let survey = CUDASurvey(try Simulator.search())
        #expect(survey.findings.map(\.library) == CUDALibrary.allCases)
        #expect(survey.findings.allSatisfy { $0.path == Simulator.library && $0.problem == nil })
        #expect(survey.devices.count == 1 && survey.deviceProblem == nil)
        #expect(survey.architectures.contains(90))
        let nothing = CUDASurvey(search(["OSLER_CUDA_DRIVER": "/nowhere.so"]))
        #expect(nothing.findings[0].problem?.contains("/nowhere.so") == true)
        #expect(nothing.findings[0].path == nil && nothing.devices.isEmpty)
    }
}
