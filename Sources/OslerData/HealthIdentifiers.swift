/// What may identify a person in medical text: some of the identifiers that HIPAA's safe harbour method names (45 CFR
/// 164.514(b)(2)), as far as their form or the words before them show. A scan that finds nothing proves nothing.
package enum HealthIdentifier: String, Sendable, CaseIterable {
    /// Day and month, with or without a year; a year alone is none.
    case date
    case phone
    case email
    /// Medical record, account and social security numbers.
    case recordNumber = "record_number"
    /// A street with a house number, or a state with its ZIP code.
    case address
    /// A name behind a title (Mr., Dr.) or a cue ("named", "patient name:").
    case name

    /// Where one stands: a range of the text's UTF-8.
    package struct Match: Sendable, Equatable {
        package var kind: HealthIdentifier
        package var range: Range<Int>
    }

    /// All of them in `text`, from left to right, none in another one.
    package static func matches(in text: String) -> [Match] {
        var text = text
        return text.withUTF8 { bytes in
            let scanner = IdentifierScanner(bytes: bytes)
            var matches: [Match] = []
            var i = 0
            while i < bytes.count {
                guard let match = scanner.match(at: i) else {
                    i = scanner.nextStart(after: i)
                    continue
                }
                matches.append(match)
                i = match.range.upperBound
            }
            return matches
        }
    }
}

/// Tries the forms at one place. Every form begins where a word, a number or a bracket begins.
private struct IdentifierScanner {
    let bytes: UnsafeBufferPointer<UInt8>

    func match(at i: Int) -> HealthIdentifier.Match? {
        func found(_ kind: HealthIdentifier, _ end: Int?) -> HealthIdentifier.Match? {
            end.map { HealthIdentifier.Match(kind: kind, range: i..<$0) }
        }
        let byte = bytes[i]
        if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "(") { return found(.phone, phone(i)) }
        if Self.isDigit(byte) {
            return found(.date, date(i)) ?? found(.recordNumber, socialSecurityNumber(i))
                ?? found(.phone, phone(i)) ?? found(.address, street(i)) ?? found(.email, email(i))
        }
        guard Self.isLetter(byte) else { return nil }
        return found(.email, email(i)) ?? found(.recordNumber, recordNumber(i))
            ?? found(.name, name(i)) ?? found(.date, monthFirst(i)) ?? found(.address, postcode(i))
    }

    /// The next place behind the word or the byte at `i`.
    func nextStart(after i: Int) -> Int {
        guard Self.isWord(bytes[i]) else { return i + 1 }
        return wordEnd(i)
    }

    // MARK: Dates

    /// `2024-03-05`, `3/5/2024`, `05.03.24`, `5 March`, `5th of March 2024`.
    private func date(_ i: Int) -> Int? {
        let first = digits(i)
        if let end = numericDate(i, first) { return end }
        guard (1...31).contains(value(i, first)) else { return nil }
        var j = first
        for suffix in ["st", "nd", "rd", "th"] where hasWord(suffix, at: j) { j += 2 }
        guard let space = spaces(j) else { return nil }
        j = hasWord("of", at: space) ? spaces(space + 2) ?? space : space
        guard let month = month(j) else { return nil }
        return year(after: month) ?? month
    }

    private func numericDate(_ i: Int, _ first: Int) -> Int? {
        guard first < bytes.count, "-/.".utf8.contains(bytes[first]) else { return nil }
        let separator = bytes[first]
        let second = digits(first + 1)
        guard second > first + 1, second < bytes.count, bytes[second] == separator else {
            return nil
        }
        let third = digits(second + 1)
        guard isEnd(third) else { return nil }
        let lengths = [first - i, second - first - 1, third - second - 1]
        let values = [value(i, first), value(first + 1, second), value(second + 1, third)]
        func isDayAndMonth(_ a: Int, _ b: Int) -> Bool {
            let (small, large) = (min(a, b), max(a, b))
            return (1...12).contains(small) && (1...31).contains(large)
        }
        let years = 1900...2099
        if lengths[0] == 4 {
            return years.contains(values[0]) && lengths[1] <= 2 && lengths[2] <= 2
                && isDayAndMonth(values[1], values[2]) ? third : nil
        }
        guard lengths[0] <= 2, lengths[1] <= 2, isDayAndMonth(values[0], values[1]) else {
            return nil
        }
        if lengths[2] == 4 { return years.contains(values[2]) ? third : nil }
        // With two digits of a year: not `10-20-30`, not version 1.2.13.
        let isDate =
            separator == UInt8(ascii: "/")
            || (separator == UInt8(ascii: ".") && lengths == [2, 2, 2])
        return isDate && lengths[2] == 2 ? third : nil
    }

    /// `March 5`, `Mar. 5th, 2024`.
    private func monthFirst(_ i: Int) -> Int? {
        guard var end = month(i) else { return nil }
        if end < bytes.count, bytes[end] == UInt8(ascii: ".") { end += 1 }
        guard let day = spaces(end) else { return nil }
        var last = digits(day)
        guard last > day, (1...31).contains(value(day, last)) else { return nil }
        for suffix in ["st", "nd", "rd", "th"] where hasWord(suffix, at: last) { last += 2 }
        guard isEnd(last) else { return nil }
        return year(after: last) ?? last
    }

    private static let months: Set<String> = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December", "Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep",
        "Sept", "Oct", "Nov", "Dec",
    ]

    private func month(_ i: Int) -> Int? {
        guard i < bytes.count, Self.isCapital(bytes[i]) else { return nil }
        let end = wordEnd(i)
        return end - i <= 9 && Self.months.contains(word(i, end)) ? end : nil
    }

    private func year(after i: Int) -> Int? {
        var j = i
        if j < bytes.count, bytes[j] == UInt8(ascii: ",") { j += 1 }
        guard let start = spaces(j) else { return nil }
        let end = digits(start)
        return end - start == 4 && isEnd(end) && (1900...2099).contains(value(start, end))
            ? end : nil
    }

    // MARK: Numbers

    /// `(555) 010-4477`, `555-010-4477`, `1 555 010 4477`; behind a `+`, 8 to 15 digits in groups.
    private func phone(_ i: Int) -> Int? {
        let isInternational = bytes[i] == UInt8(ascii: "+")
        var groups: [Int] = []
        var (j, end) = (isInternational ? i + 1 : i, i)
        var separators = 0
        while j < bytes.count {
            if Self.isDigit(bytes[j]) {
                let stop = digits(j)
                groups.append(stop - j)
                (j, end, separators) = (stop, stop, 0)
            } else if " -.()/".utf8.contains(bytes[j]), separators < 2 {
                separators += 1
                j += 1
            } else {
                break
            }
            let isComplete = groups.suffix(3) == [3, 3, 4]
            if !isInternational, isComplete, isEnd(end) {
                return groups.count == 3 || groups == [1, 3, 3, 4] ? end : nil
            }
            if groups.count > 7 { return nil }
        }
        let count = groups.reduce(0, +)
        return isInternational && (8...15).contains(count) && isEnd(end) ? end : nil
    }

    /// `078-05-1120`.
    private func socialSecurityNumber(_ i: Int) -> Int? {
        var (j, lengths) = (i, [Int]())
        while lengths.count < 3 {
            let end = digits(j)
            lengths.append(end - j)
            if lengths.count == 3 { return lengths == [3, 2, 4] && isEnd(end) ? end : nil }
            guard end < bytes.count, bytes[end] == UInt8(ascii: "-") else { return nil }
            j = end + 1
        }
        return nil
    }

    private static let numberCues = [
        "mrn", "medical record number", "medical record no", "record number", "record no",
        "patient id", "patient number", "hospital number", "account number", "chart number",
        "nhs number",
        "social security number", "ssn", "case number", "accession number",
    ]

    /// `MRN: 00123456`: a cue, then a word with at least four digits.
    private func recordNumber(_ i: Int) -> Int? {
        guard "mrphacnsMRPHACNS".utf8.contains(bytes[i]) else { return nil }
        guard let cue = Self.numberCues.first(where: { hasWords($0, at: i) }) else { return nil }
        var j = i + cue.utf8.count
        var fillers = 0
        while j < bytes.count, " .:#=-\t".utf8.contains(bytes[j]), fillers < 6 {
            (j, fillers) = (j + 1, fillers + 1)
        }
        if hasWords("is", at: j), let next = spaces(j + 2) { j = next }
        var end = j
        var digitCount = 0
        while end < bytes.count, Self.isWord(bytes[end]) || bytes[end] == UInt8(ascii: "-") {
            if Self.isDigit(bytes[end]) { digitCount += 1 }
            end += 1
        }
        return digitCount >= 4 && end - j <= 24 ? end : nil
    }

    // MARK: E-mail

    private func email(_ i: Int) -> Int? {
        var j = i
        while j < bytes.count, Self.isWord(bytes[j]) || "._%+-".utf8.contains(bytes[j]) { j += 1 }
        guard j < bytes.count, bytes[j] == UInt8(ascii: "@"), j - i <= 64 else { return nil }
        let domain = j + 1
        var end = domain
        while end < bytes.count, Self.isWord(bytes[end]) || "-.".utf8.contains(bytes[end]) {
            end += 1
        }
        while end > domain, "-.".utf8.contains(bytes[end - 1]) { end -= 1 }
        guard let dot = bytes[domain..<end].lastIndex(of: UInt8(ascii: ".")), dot > domain else {
            return nil
        }
        let tail = bytes[(dot + 1)..<end]
        return tail.count >= 2 && tail.allSatisfy(Self.isLetter) ? end : nil
    }

    // MARK: Addresses

    private static let streets: Set<String> = [
        "Street", "St", "Avenue", "Ave", "Road", "Rd", "Boulevard", "Blvd", "Lane", "Ln", "Drive",
        "Court", "Ct", "Way", "Place", "Square", "Terrace", "Parkway", "Highway",
    ]

    /// `221 Baker Street`: a number of up to five digits, one to three capitalised words, a kind of street.
    private func street(_ i: Int) -> Int? {
        let number = digits(i)
        guard number - i <= 5, var j = spaces(number) else { return nil }
        for word in 0..<4 {
            guard j < bytes.count, Self.isCapital(bytes[j]) else { return nil }
            let end = wordEnd(j)
            if word > 0, Self.streets.contains(self.word(j, end)) { return end }
            guard let next = spaces(end) else { return nil }
            j = next
        }
        return nil
    }

    private static let states: Set<String> = [
        "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "DC", "FL", "GA", "HI", "ID", "IL", "IN",
        "IA", "KS", "KY", "LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH",
        "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT",
        "VT", "VA", "WA", "WV", "WI", "WY",
    ]

    /// `MA 02139`.
    private func postcode(_ i: Int) -> Int? {
        let end = wordEnd(i)
        guard end - i == 2, Self.states.contains(word(i, end)), let start = spaces(end) else {
            return nil
        }
        let last = digits(start)
        return last - start == 5 && isEnd(last) ? last : nil
    }

    // MARK: Names

    private static let titles: Set<String> = [
        "Mr", "Mrs", "Ms", "Miss", "Dr", "Prof", "Herr", "Frau",
    ]
    private static let nameCues = ["patient name", "name of patient", "named", "name is", "called"]

    private func name(_ i: Int) -> Int? {
        let end = wordEnd(i)
        var start: Int?
        if end - i <= 4, Self.isCapital(bytes[i]), Self.titles.contains(word(i, end)) {
            let hasDot = end < bytes.count && bytes[end] == UInt8(ascii: ".")
            start = spaces(hasDot ? end + 1 : end)
        } else if "nNpPcC".utf8.contains(bytes[i]),
            let cue = Self.nameCues.first(where: { hasWords($0, at: i) })
        {
            var j = i + cue.utf8.count
            if j < bytes.count, bytes[j] == UInt8(ascii: ":") { j += 1 }
            start = spaces(j)
        }
        guard var last = start.flatMap(properName) else { return nil }
        while let next = spaces(last).flatMap(properName) { last = next }
        return last
    }

    /// A capital, then small letters, two at least in all.
    private func properName(_ i: Int) -> Int? {
        guard i < bytes.count, Self.isCapital(bytes[i]) else { return nil }
        let end = wordEnd(i)
        let rest = bytes[(i + 1)..<end]
        // What a sentence begins with is no name.
        return !rest.isEmpty && rest.allSatisfy { $0 >= 0x80 || ($0 >= 0x61 && $0 <= 0x7A) }
            && !Self.sentenceWords.contains(word(i, end)) ? end : nil
    }

    private static let sentenceWords: Set<String> = [
        "The", "This", "That", "She", "He", "His", "Her", "They", "It", "In", "On", "At", "An",
        "And",
        "But", "What", "Which", "When", "Who", "Is", "Was", "We", "You", "If", "For", "To", "Of",
    ]

    // MARK: Bytes

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
    private static func isCapital(_ byte: UInt8) -> Bool { byte >= 0x41 && byte <= 0x5A }
    private static func isLetter(_ byte: UInt8) -> Bool {
        isCapital(byte) || (byte >= 0x61 && byte <= 0x7A)
    }
    /// Letters of other scripts count: a word is not cut at one.
    private static func isWord(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || byte >= 0x80 || byte == UInt8(ascii: "_")
    }

    private func digits(_ i: Int) -> Int {
        var j = i
        while j < bytes.count, Self.isDigit(bytes[j]) { j += 1 }
        return j
    }

    private func value(_ i: Int, _ end: Int) -> Int {
        end - i > 4 || end == i ? -1 : bytes[i..<end].reduce(0) { $0 * 10 + Int($1) - 0x30 }
    }

    private func wordEnd(_ i: Int) -> Int {
        var j = i
        while j < bytes.count, Self.isWord(bytes[j]) { j += 1 }
        return j
    }

    private func word(_ i: Int, _ end: Int) -> String {
        String(decoding: bytes[i..<end], as: UTF8.self)
    }

    /// Where the text goes on after one or two blanks; nil where there is none.
    private func spaces(_ i: Int) -> Int? {
        var j = i
        while j < bytes.count, j < i + 2, bytes[j] == 0x20 { j += 1 }
        return j > i && j < bytes.count ? j : nil
    }

    private func isEnd(_ i: Int) -> Bool { i >= bytes.count || !Self.isWord(bytes[i]) }

    private func hasWord(_ text: String, at i: Int) -> Bool {
        let end = i + text.utf8.count
        return end <= bytes.count && bytes[i..<end].elementsEqual(text.utf8) && isEnd(end)
    }

    /// Words in small letters, in any case.
    private func hasWords(_ text: String, at i: Int) -> Bool {
        let end = i + text.utf8.count
        guard end <= bytes.count, isEnd(end) else { return false }
        return zip(bytes[i..<end], text.utf8).allSatisfy { byte, wanted in
            byte == wanted || (Self.isCapital(byte) && byte | 0x20 == wanted)
        }
    }
}
