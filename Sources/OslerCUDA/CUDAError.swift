/// What a CUDA library refused: the call, the name of its status code, and what to do.
///
/// `description` is one line, fit to show.
package struct CUDAError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The function that failed, as its library names it.
    package let call: String
    /// The status by its own name, `CUDA_ERROR_OUT_OF_MEMORY`; empty when there is none.
    package let code: String
    package let problem: String
    package let remedy: String?

    package init(call: String, code: String = "", problem: String, remedy: String? = nil) {
        (self.call, self.code, self.problem, self.remedy) = (call, code, problem, remedy)
    }

    package var description: String { withoutRemedy + (remedy.map { "; " + $0 } ?? "") }

    package var withoutRemedy: String {
        "\(call): " + (code.isEmpty ? "" : "\(code): ") + problem
    }
}
