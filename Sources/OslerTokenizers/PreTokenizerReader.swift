internal import OslerFormats

/// Recognises the pre-tokenizers of `tokenizer.json` by their types and regular expressions.
struct PreTokenizerReader {
    let file: String

    /// The expressions that have a scanner of their own, as they stand in the files.
    private static let scanners: [(pattern: String, step: PreTokenizer.Step)] = [
        (
            #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, .gpt2
        ),
        (llama3(#"\p{N}{1,3}"#), .llama3(digits: 3)),
        (llama3(#"\p{N}"#), .llama3(digits: 1)),
        (
            ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"##
                + #"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"#
                + #"\s*[\r\n]+|\s+(?!\S)|\s+"#, .deepseekV3
        ),
        (#"\s+$"#, .trailingSpace),
    ]

    private static func llama3(_ numbers: String) -> String {
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + numbers
            + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }

    func steps(_ json: JSON?, _ field: String = "pre_tokenizer") throws -> [PreTokenizer.Step] {
        guard let json, !json.isNull else {
            throw failure(field, "there is none")
        }
        let (steps, isByteLevel) = try parse(json, field)
        guard isByteLevel else { throw failure(field, "none of its steps is ByteLevel") }
        return steps
    }

    private func parse(
        _ json: JSON, _ field: String
    ) throws -> (steps: [PreTokenizer.Step], isByteLevel: Bool) {
        switch json["type"]?.string {
        case "Sequence":
            var steps: [PreTokenizer.Step] = []
            var isByteLevel = false
            for (i, item) in (json["pretokenizers"]?.array ?? []).enumerated() {
                let field = "\(field).pretokenizers[\(i)]"
                // What follows would see the byte-level spelling, not the text.
                if isByteLevel { throw failure(field, "stands behind ByteLevel") }
                let part = try parse(item, field)
                steps += part.steps
                isByteLevel = part.isByteLevel
            }
            return (steps, isByteLevel)
        case "ByteLevel":
            var steps: [PreTokenizer.Step] = []
            if json["add_prefix_space"]?.bool ?? true { steps.append(.prefixSpace) }
            if json["use_regex"]?.bool ?? true { steps.append(.gpt2) }
            return (steps, true)
        case "Digits":
            let isSingle = json["individual_digits"]?.bool ?? false
            return ([.run(ClassRun(digitsOneByOne: isSingle))], false)
        case "Split": return ([try split(json, field)], false)
        default:
            let type = json["type"]?.string.map { "\"\($0)\"" } ?? "a missing type"
            throw failure(field, "\(type) is not a known pre-tokenizer")
        }
    }

    private func split(_ json: JSON, _ field: String) throws -> PreTokenizer.Step {
        guard let pattern = json["pattern"]?["Regex"]?.string else {
            throw failure(field + ".pattern", "a Split that is no Regex is not known")
        }
        guard let step = Self.step(pattern) else {
            throw failure(field + ".pattern", "the regular expression \(pattern) is not known")
        }
        let behavior = json["behavior"]?.string ?? ""
        let isInverted = json["invert"]?.bool ?? false
        // Where everything matches, removing what does not match is isolating what does.
        let isTotal = step == .gpt2 || step == .llama3(digits: 3) || step == .llama3(digits: 1)
        guard behavior == "Isolated" || (isTotal && behavior == "Removed" && isInverted) else {
            throw failure(
                field,
                "the behavior \"\(behavior)\"\(isInverted ? ", inverted," : "") is not known",
                "known is \"Isolated\"")
        }
        return step
    }

    static func step(_ pattern: String) -> PreTokenizer.Step? {
        if let known = scanners.first(where: { $0.pattern == pattern }) { return known.step }
        return ClassRun(pattern).map { .run($0) }
    }

    private func failure(_ field: String, _ problem: String, _ remedy: String? = nil) -> InputError
    {
        InputError(
            problem, file: file, field: field,
            remedy: remedy
                ?? "known are ByteLevel, Digits, Sequence, and Split by the expressions of GPT-2, "
                + "Llama 3, Qwen 2 and DeepSeek")
    }
}
