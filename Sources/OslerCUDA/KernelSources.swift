internal import CCUDAKernels

/// The text of the kernels, and which file holds which.
package struct KernelSources: Sendable {
    package struct File: Sendable {
        package let name: String
        package let text: String
        /// The functions that it defines, by their `REGISTER` lines.
        package let kernels: [String]
    }

    package let prelude: File
    package let files: [File]
    private let fileOfKernel: [String: Int]

    /// Those that were embedded in this program.
    package static let embedded = KernelSources(
        prelude: File(ccuda_prelude),
        files: (0..<ccuda_kernel_file_count).map { File(ccuda_kernel_files[$0]) })

    package init(prelude: File, files: [File]) {
        (self.prelude, self.files) = (prelude, files)
        var places: [String: Int] = [:]
        for (index, file) in files.enumerated() {
            for kernel in file.kernels { places[kernel] = index }
        }
        fileOfKernel = places
    }

    package func file(of kernel: String) -> Int? { fileOfKernel[kernel] }
}

extension KernelSources.File {
    package init(name: String, text: String) {
        (self.name, self.text) = (name, text)
        kernels = text.split(separator: "\n").compactMap { line in
            let mark = "REGISTER("
            guard line.hasPrefix(mark), let end = line.firstIndex(of: ")") else { return nil }
            return String(line[line.index(line.startIndex, offsetBy: mark.utf8.count)..<end])
        }
    }

    fileprivate init(_ file: ccuda_kernel_file) {
        let bytes = UnsafeRawBufferPointer(start: file.text, count: file.length)
        self.init(name: String(cString: file.name), text: String(decoding: bytes, as: UTF8.self))
    }
}
