extension AnswerParser {
    private static let openings: Set<String> = [
        "(", "[", "{", "<", "*", "_", "`", "$", "\"", "'", "“", "‘", "\\",
    ]
    private static let closings: Set<String> = [
        ")", "]", "}", ">", "*", "_", "`", "$", "\"", "'", "”", "’",
    ]
    /// Words between "answer" and what it is.
    private static let links: Set<String> = [
        "is", "be", "would", "should", "must", "will", "most", "likely", "probably", "therefore",
        "thus", "then", "definitely", "clearly", "option", "choice", "letter", "the", "correct",
        "to", "this", "question", "here", "best", "one", "final", "that", "indeed",
    ]
    /// What may go on behind a bare letter.
    private static let connectives: Set<String> = [
        "because", "since", "as", "for", "which", "but", "due", "with", "from", "based", "given",
        "in", "not", "so", "although", "while", "is", "it", "this", "therefore", "that", "when",
    ]
    private static let separators: Set<String> = [",", "/", "&", ";", "+"]
    private static let negations: Set<String> = ["incorrect", "wrong", "false", "not", "isn"]

    private func token(_ place: Int) -> AnswerToken? {
        tokens.indices.contains(place) ? tokens[place] : nil
    }

    // MARK: Statements

    /// What the statements name, in order; those that name no option are left out.
    func statements() -> [Reading] {
        var readings: [Reading] = []
        for place in tokens.indices where tokens[place].kind == .word {
            switch tokens[place].key {
            case "answer", "choice", "option", "answers":
                if let object = object(after: place), let reading = read(object) {
                    readings.append(reading)
                }
            case "choose", "select", "pick":
                if let reading = read(skipLinks(place + 1).place) { readings.append(reading) }
            case "boxed" where token(place + 1)?.text == "{":
                if let reading = read(place + 1) { readings.append(reading) }
            default:
                if let reading = subject(place) { readings.append(reading) }
            }
        }
        return readings
    }

    /// Where the object of "answer is ..." begins; nil where there is no such verb.
    private func object(after place: Int) -> Int? {
        let (end, isStated) = skipLinks(place + 1)
        return isStated ? end : nil
    }

    private func skipLinks(_ start: Int) -> (place: Int, isStated: Bool) {
        var place = start
        var isStated = false
        while let next = token(place) {
            if next.kind == .word, Self.links.contains(next.key) {
                isStated = isStated || next.key == "is" || next.key == "be"
            } else if next.isSign([":", "=", "-", "–", "—", ">", "→"]) {
                isStated = true
            } else if next.isLineEnd {
                // "Answer:" with the letter on the next line, or "## Answer".
                guard isStated || token(place - 1)?.key == "answer" else { break }
                isStated = true
            } else if next.isSign(["*", "_", "#"]) {
                // Bold begins or ends.
            } else {
                break
            }
            place += 1
        }
        return (place, isStated)
    }

    /// "B is correct", "(B) is the best answer".
    private func subject(_ place: Int) -> Reading? {
        guard let option = letter(place), isCapital(place) else { return nil }
        var next = place + 1
        while token(next)?.isSign(Self.closings) == true { next += 1 }
        guard token(next)?.key == "is" else { return nil }
        next += 1
        if token(next)?.key == "the" { next += 1 }
        if token(next)?.key == "most" { next += 1 }
        let verdicts: Set<String> = ["correct", "best", "right", "likely", "appropriate", "answer"]
        guard let word = token(next)?.key, verdicts.contains(word) else { return nil }
        // "A is the best-known cause" and "B is likely wrong" judge nothing.
        if word == "best" || word == "likely" || word == "appropriate" {
            let nouns: Set<String> = ["answer", "option", "choice"]
            guard (1...2).contains(where: { nouns.contains(token(next + $0)?.key ?? "") }) else {
                return nil
            }
        }
        return .option(option)
    }

    // MARK: One place

    /// The option whose letter stands at `place`.
    private func letter(_ place: Int) -> Int? {
        guard let token = token(place), token.kind == .word, token.text.count == 1 else {
            return nil
        }
        return options.firstIndex { $0.letter == token.text.uppercased() }
    }

    private func isCapital(_ place: Int) -> Bool { tokens[place].text != tokens[place].key }

    /// The longest option text that begins at `place`, and the place behind it.
    private func text(at place: Int) -> (option: Int, end: Int)? {
        var best: (option: Int, end: Int, count: Int)?
        for (option, words) in optionWords.enumerated() where !words.isEmpty {
            var (next, matched) = (place, 0)
            while matched < words.count, let token = token(next) {
                if token.kind == .word {
                    guard token.key == words[matched] else { break }
                    matched += 1
                }
                next += 1
            }
            if matched == words.count, matched > best?.count ?? 0 { best = (option, next, matched) }
        }
        return best.map { ($0.option, $0.end) }
    }

    /// What is named at `place`: a letter, perhaps with its text, or a text.
    private func read(_ start: Int) -> Reading? {
        var place = start
        while let next = token(place),
            next.isSign(Self.openings) || next.key == "text" || next.key == "option"
        { place += 1 }
        guard tokens.indices.contains(place), tokens[place].kind == .word else { return nil }
        let isEnclosed = token(place - 1)?.isSign(Self.openings) == true
        if let text = text(at: place) {
            // Options that are letters themselves ("A and C") are read as texts, and so is "C. difficile".
            let isLonger = optionWords[text.option].count > 1 || letter(place) == nil
            if isLonger { return another(text.end, than: text.option) }
        }
        guard let option = letter(place), isLetter(place, enclosed: isEnclosed, option) else {
            return nil
        }
        return another(place + 1, than: option)
    }

    /// Whether the letter at `place` stands for its option and is no article or part of a name.
    private func isLetter(_ place: Int, enclosed: Bool, _ option: Int) -> Bool {
        guard let next = token(place + 1), !next.isLineEnd else {
            return isCapital(place) || enclosed || token(place - 1)?.isLineEnd ?? true
                || token(place - 1)?.isSign([":"]) == true
        }
        if enclosed, next.isSign(Self.closings) { return true }
        guard isCapital(place) else { return false }
        if next.kind == .sign {
            // "B-cell", "B's".
            if !next.follows, next.isSign(["-", "'", "’", "+"]) {
                guard next.isSign(["'", "’"]), token(place + 2)?.follows ?? true else {
                    return false
                }
                return true
            }
            // "C. difficile"
            if next.isSign(["."]), let word = token(place + 2), word.kind == .word,
                word.text == word.key, text(at: place + 2) == nil,
                !Self.connectives.contains(word.key)
            {
                return false
            }
            return true
        }
        if ["and", "or"].contains(next.key) { return true }
        if let text = text(at: place + 1) { return text.option == option }
        return Self.connectives.contains(next.key)
    }

    /// `option`, unless a second one is named right behind it.
    private func another(_ end: Int, than option: Int) -> Reading {
        var place = end
        var isJoined = false
        while let next = token(place) {
            if next.isLineEnd { break }
            if next.kind == .word, ["and", "or"].contains(next.key) {
                isJoined = true
            } else if next.isSign(Self.separators) {
                isJoined = true
            } else if !(next.isSign(Self.closings) || next.isSign(Self.openings)
                || next.isSign([".", ":", "-", "–", "—"]) || next.key == "option")
            {
                break
            }
            place += 1
        }
        if let text = text(at: place), text.option != option,
            optionWords[text.option].count > 1 || letter(place) == nil
        {
            return .several
        }
        if let other = letter(place), other != option, isJoined {
            let isEnclosed = token(place - 1)?.isSign(Self.openings) == true
            if isLetter(place, enclosed: isEnclosed, other) { return .several }
        }
        return .option(option)
    }

    // MARK: Lines, marks, texts

    func lines() -> [Reading] {
        var readings: [Reading] = []
        for line in tokens.indices.split(whereSeparator: { tokens[$0].isLineEnd }) {
            guard
                let first = line.first(where: {
                    !tokens[$0].isSign(Self.openings.union(["#", "-", ">", "•"]))
                })
            else { continue }
            if let text = text(at: first), endsLine(text.end, line.endIndex) {
                readings.append(.option(text.option))
                continue
            }
            guard let option = letter(first), !isDenied(first + 1) else { continue }
            let isWholeLine = endsLine(first + 1, line.endIndex)
            let isMarked = token(first + 1)?.isSign(Self.closings.union([".", ":", ")"])) == true
            let isEnclosed = first > line.startIndex && tokens[first - 1].isSign(Self.openings)
            if isWholeLine || isMarked && isLetter(first, enclosed: isEnclosed, option) {
                readings.append(another(first + 1, than: option))
            }
        }
        // "Yes, because ...": the answer begins with an option.
        if readings.isEmpty, let text = text(at: 0), let next = token(text.end),
            next.isSign([",", ".", ";", ":", "-", "–", "—"])
        {
            return [.option(text.option)]
        }
        return readings
    }

    /// Only signs stand from `place` to the end of the line.
    private func endsLine(_ place: Int, _ end: Int) -> Bool {
        place >= end || (place..<end).allSatisfy { tokens[$0].kind == .sign }
    }

    func marks() -> [Reading] {
        tokens.indices.compactMap { place in
            guard let option = letter(place) else { return nil }
            let (before, after) = (token(place - 1), token(place + 1))
            let isEnclosed =
                before?.isSign(["("]) == true && after?.isSign([")"]) == true
                || before?.isSign(["*"]) == true && after?.isSign(["*"]) == true
                    && isCapital(place)
            let isNamed =
                ["option", "choice"].contains(before?.key ?? "") && isCapital(place)
            guard isEnclosed || isNamed, !isDenied(place + 1) else { return nil }
            return .option(option)
        }
    }

    /// "... is incorrect", "... is not", "... can be ruled out".
    private func isDenied(_ start: Int) -> Bool {
        var place = start
        while token(place)?.isSign(Self.closings) == true { place += 1 }
        let words = (place..<place + 5).compactMap { token($0) }
            .prefix { !$0.isLineEnd && !$0.isSign([".", ",", ";"]) }
        guard let first = words.first,
            ["is", "isn", "was", "can", "are", "does", "would"].contains(first.key)
        else { return false }
        return words.contains {
            Self.negations.contains($0.key) || ["ruled", "unlikely", "excluded"].contains($0.key)
        }
    }

    func texts() -> [Reading] {
        var readings: [Reading] = []
        var place = 0
        while place < tokens.count {
            if tokens[place].kind == .word, let text = text(at: place) {
                readings.append(.option(text.option))
                place = text.end
            } else {
                place += 1
            }
        }
        return readings
    }
}
