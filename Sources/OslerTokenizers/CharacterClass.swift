/// What a pre-tokenizer asks about a character: its Unicode general category in groups, and `\s`.
struct CharacterClass: OptionSet {
    var rawValue: UInt8

    static let letter = CharacterClass(rawValue: 1)  // \p{L}
    static let number = CharacterClass(rawValue: 2)  // \p{N}
    static let mark = CharacterClass(rawValue: 4)  // \p{M}
    static let punctuation = CharacterClass(rawValue: 8)  // \p{P}
    static let symbol = CharacterClass(rawValue: 16)  // \p{S}
    static let space = CharacterClass(rawValue: 32)  // \s, the White_Space property
    static let newline = CharacterClass(rawValue: 64)  // [\r\n]

    @inline(__always) func has(_ other: CharacterClass) -> Bool {
        rawValue & other.rawValue != 0
    }

    @inline(__always) static func of(_ scalar: UInt32) -> CharacterClass {
        scalar < 0x10000
            ? CharacterClass(rawValue: basicPlane[Int(scalar)]) : computed(scalar)
    }

    /// One byte for each scalar of the basic plane, made at first use in about 3 ms. The higher
    /// planes are rare in text and asked for one by one.
    static let basicPlane = ConstantTable<UInt8>(repeating: 0, count: 0x10000) { table in
        for scalar in 0..<UInt32(0x10000) {
            // The ideographs and Hangul syllables: half of the plane, all letters.
            let isUniform = (0x4E00...0x9FFF).contains(scalar) || (0xAC00...0xD7A3).contains(scalar)
            table[Int(scalar)] = (isUniform ? .letter : computed(scalar)).rawValue
        }
    }

    /// From the standard library's Unicode data, limited to Unicode 16: what the regular expression
    /// engine of `tokenizers` 0.23 knows. Later characters belong to no class there.
    static func computed(_ scalar: UInt32) -> CharacterClass {
        guard let properties = Unicode.Scalar(scalar)?.properties else { return [] }
        if scalar == 0x0A || scalar == 0x0D { return [.space, .newline] }
        if properties.isWhitespace { return .space }
        guard let group = group(properties.generalCategory) else { return [] }
        guard let age = properties.age, age.major <= 16 else { return [] }
        return group
    }

    private static func group(_ category: Unicode.GeneralCategory) -> CharacterClass? {
        switch category {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            .letter
        case .decimalNumber, .letterNumber, .otherNumber: .number
        case .nonspacingMark, .spacingMark, .enclosingMark: .mark
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
            .initialPunctuation, .finalPunctuation, .otherPunctuation:
            .punctuation
        case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: .symbol
        default: nil
        }
    }
}
