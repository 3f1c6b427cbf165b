internal import ArgumentParser
internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats
internal import OslerTraining

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says what this machine has to compute with, and how to get what is missing.",
        discussion: """
            osler doctor
            osler doctor --json
            """)

    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let console = Console(quiet: false)
        let report = try MachineReport()
        console.print(json ? report.json.serialized(indent: 2) : report.text)
    }
}

/// The CPU and its memory, the cards, and the libraries that a run on them needs.
struct MachineReport {
    struct Card {
        let description: DeviceDescription
        var freeBytes: Int?
        var bandwidth: Double?
        /// Why no run can use it.
        var problem: String?
    }

    let threads = ThreadPool.availableCores
    let instructionSets = CPUBackend.ISA.supported
    let memoryBytes = ProcessStatus.availableBytes
    let bandwidth: Double
    let survey: CUDASurvey
    let cards: [Card]

    init(search: LibrarySearch = .standard) throws {
        bandwidth = try CPUBackend(precision: .bfloat16).measureReadBandwidth()
        let survey = CUDASurvey(search)
        self.survey = survey
        cards = survey.devices.map { device in
            var card = Card(description: device)
            do {
                let backend = try CUDABackend(
                    precision: nil, device: device.index, search: search)
                card.freeBytes = try backend.freeBytes()
                card.bandwidth = try backend.measureBandwidth()
            } catch {
                card.problem = "\(error)"
            }
            return card
        }
    }

    /// What `device: auto` takes.
    var chosenDevice: String { cards.first.map { $0.problem == nil } ?? false ? "cuda:0" : "cpu" }

    var text: String {
        var lines = [
            "CPU     \(threads) cores, \(instructionSets.map { "\($0)" }.joined(separator: ", "))",
            "memory  \(memoryBytes?.mebibytes ?? "unknown") free, read at \(bandwidth.gigabytes)",
        ]
        for card in cards {
            let device = card.description
            lines.append(
                "GPU \(device.index)   \(device.name), compute capability "
                    + "\(device.architecture / 10).\(device.architecture % 10), "
                    + "\(device.multiprocessors) multiprocessors, "
                    + "\(card.freeBytes?.mebibytes ?? "unknown") of \(device.totalBytes.mebibytes) free"
                    + (card.bandwidth.map { ", copies at \($0.gigabytes)" } ?? ""))
            if let problem = card.problem { lines.append("        can't be used: \(problem)") }
        }
        if let problem = survey.deviceProblem { lines.append("GPU     \(problem)") }
        for finding in survey.findings {
            let name = finding.library.title
            if let path = finding.path {
                let architectures =
                    finding.library == .nvrtc
                    ? ", compiles for \(survey.architectures.map { "sm_\($0)" }.joined(separator: " "))"
                    : ""
                lines.append("\(name) \(finding.version ?? ""), \(path)\(architectures)")
            } else {
                lines.append("\(name) missing: \(finding.problem ?? "")")
                if let remedy = finding.remedy { lines.append("        \(remedy)") }
            }
        }
        return (lines + ["device: auto computes on \(chosenDevice)"]).joined(separator: "\n")
    }

    var json: JSON {
        .object([
            "cpu": .object([
                "cores": .integer(threads),
                "instruction_sets": .array(instructionSets.map { .string("\($0)") }),
                "available_bytes": number(memoryBytes),
                "read_bytes_per_second": number(bandwidth),
            ]),
            "gpus": .array(cards.map(json)),
            "gpu_problem": string(survey.deviceProblem),
            "libraries": .array(survey.findings.map(json)),
            "nvrtc_architectures": .array(survey.architectures.map { .string("sm_\($0)") }),
            "auto_device": .string(chosenDevice),
        ])
    }

    private func string(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }
    private func number(_ value: Int?) -> JSON { value.map(JSON.integer) ?? .null }
    private func number(_ value: Double?) -> JSON {
        guard let value, value.isFinite else { return .null }
        return .number(value)
    }

    private func json(_ card: Card) -> JSON {
        let device = card.description
        return .object([
            "index": .integer(device.index), "name": .string(device.name),
            "compute_capability": .string(
                "\(device.architecture / 10).\(device.architecture % 10)"),
            "multiprocessors": .integer(device.multiprocessors),
            "total_bytes": .integer(device.totalBytes),
            "free_bytes": number(card.freeBytes),
            "copy_bytes_per_second": number(card.bandwidth),
            "problem": string(card.problem),
        ])
    }

    private func json(_ finding: CUDASurvey.Finding) -> JSON {
        .object([
            "name": .string(finding.library.title),
            "path": string(finding.path),
            "version": string(finding.version),
            "problem": string(finding.problem),
            "remedy": string(finding.remedy),
        ])
    }
}

extension Double {
    fileprivate var gigabytes: String {
        isFinite ? (self / 1e9).fixed(1) + " GB/s" : "unknown speed"
    }
}
