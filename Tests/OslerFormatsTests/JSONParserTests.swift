import OslerFormats
import Testing

@Suite struct `JSON parsing` {
    static let values: [(String, JSON)] = [
        ("null", .null), (" true ", true), ("false", false), ("0", 0), ("-0", 0), ("-12", -12),
        ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("9223372036854775808", .number(9_223_372_036_854_775_808)),
        ("-9223372036854775809", .number(-9_223_372_036_854_775_808)),
        ("123456789012345678901234567890", .number(1.2345678901234568e29)),
        ("1.5", 1.5), ("-0.0", .number(-0.0)), ("2.0", .number(2)), ("1e3", .number(1000)),
        ("1E+3", .number(1000)), ("5e-324", .number(0x1p-1074)), ("1e-400", .number(0)),
        ("1e400", .number(.infinity)), ("1e99999999999999999999", .number(.infinity)),
        ("0.1", .number(0.1)), ("3.141592653589793", .number(3.141592653589793)),
        ("1.7976931348623157e308", .number(.greatestFiniteMagnitude)),
        ("2.2250738585072014e-308", .number(.leastNormalMagnitude)),
        ("9007199254740993.0", .number(9_007_199_254_740_992)),
        ("Infinity", .number(.infinity)), ("-Infinity", .number(-.infinity)),
        (#""""#, ""), (#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{C}\n\r\tz"),
        (#""\u00e9\u4e2d\uD83D\ude00""#, "é中😀"), (#""日本語 😀 \u0000""#, "日本語 😀 \0"),
        ("\u{FEFF}[]", []), ("[ 1 ,\n[ ] , {} ]", [1, [], [:]]),
        (#"{"b":1, "a" : {"c":[null]}, "b":2}"#, ["b": 2, "a": ["c": [.null]]]),
    ]

    @Test(arguments: values) func `a document gives its value`(_ text: String, _ value: JSON) throws
    {
        #expect(try JSON.parse(text) == value)
    }

    @Test func `NaN is a number`() throws {
        #expect(try JSON.parse("NaN").double?.isNaN == true)
    }

    @Test func `a negative zero keeps its sign`() throws {
        #expect(try JSON.parse("-0.0").double?.sign == .minus)
    }

    @Test func `keys keep their order, also when there are many`() throws {
        let keys = (0..<1000).map { "k\($0 * 7919 % 1000)" }
        let text = "{" + keys.map { "\"\($0)\": \"\($0)\"" }.joined(separator: ",") + "}"
        var object = try #require(try JSON.parse(text).object)
        #expect(object.keys == keys)
        #expect(keys.allSatisfy { object[$0] == .string($0) })
        object["k0"] = nil
        #expect(object.count == 999 && object["k0"] == nil)
        #expect(keys.dropFirst().allSatisfy { object[$0] == .string($0) })
    }

    static let malformed: [(String, String)] = [
        ("", "line 1, column 1: malformed JSON: expected a value, found the end of the file"),
        ("nul", "line 1, column 1: malformed JSON: expected a value, found 'n'"),
        (
            "[1, 2",
            "line 1, column 6: malformed JSON: expected ',' or ']' in an array, found the end"
        ),
        ("{\n  \"é\": 1\n  \"b\": 2}", "line 3, column 3: malformed JSON: expected ',' or '}'"),
        ("{\"é\" 1}", "line 1, column 6: malformed JSON: expected ':' after a key, found '1'"),
        (
            "{'a': 1}",
            "line 1, column 2: malformed JSON: expected a key in double quotes, found '''"
        ),
        ("{\"a\": 1,}", "line 1, column 9: malformed JSON: expected a key in double quotes"),
        ("[1,]", "line 1, column 4: malformed JSON: expected a value, found ']'"),
        ("[] []", "line 1, column 4: malformed JSON: expected the end of the document, found '['"),
        ("\n\n \"abc", "line 3, column 2: malformed JSON: a string without its closing quote"),
        ("\"a\\", "line 1, column 4: malformed JSON: expected an escape after '\\'"),
        ("\"\\x\"", "line 1, column 3: malformed JSON: expected an escape after '\\', found 'x'"),
        ("\"\\u12g4\"", "line 1, column 6: malformed JSON: expected four hexadecimal digits"),
        ("\"\\ud83d\"", "line 1, column 2: malformed JSON: half of a surrogate pair"),
        ("\"\\ude00\\ud83d\"", "line 1, column 2: malformed JSON: half of a surrogate pair"),
        ("\"a\nb\"", "line 1, column 3: malformed JSON: a control character in a string"),
        ("\"a\\n\u{1}\"", "line 1, column 5: malformed JSON: a control character in a string"),
        ("01", "line 1, column 1: malformed JSON: a number with a leading zero"),
        ("-", "line 1, column 2: malformed JSON: expected a digit"),
        ("1.", "line 1, column 3: malformed JSON: expected a digit after '.'"),
        ("1e+", "line 1, column 4: malformed JSON: expected a digit of an exponent"),
        ("+1", "line 1, column 1: malformed JSON: expected a value, found '+'"),
        (".5", "line 1, column 1: malformed JSON: expected a value, found '.'"),
        (String(repeating: "[", count: 600), "column 513: malformed JSON: nested deeper than 512"),
    ]

    @Test(arguments: malformed)
    func `a malformed document says where`(_ text: String, _ message: String) {
        let error = inputError { _ = try JSON.parse(text, file: "f.json") } ?? "none"
        #expect(error.hasPrefix("f.json: ") && error.contains(message), "\(error)")
    }

    @Test func `a string that is not UTF-8 is refused`() {
        let error = inputError { _ = try JSON.parse([0x5B, 0x22, 0xFF, 0x22, 0x5D]) }
        #expect(error == "line 1, column 2: malformed JSON: a string that is not valid UTF-8")
    }

    @Test func `damaged documents never crash`() throws {
        let text = #"[{"a": [1.5e3, -2, true, null, "é\ud83d\ude00\n"]}, NaN, -Infinity, 0.1]"#
        let bytes = Array(text.utf8)
        for count in 0..<bytes.count {
            #expect(throws: InputError.self) { try JSON.parse(Array(bytes[..<count])) }
        }
        var random = SplitMix(state: 1)
        for _ in 0..<20_000 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                damaged[Int.random(in: 0..<bytes.count, using: &random)] =
                    UInt8.random(in: .min ... .max, using: &random)
            }
            do { _ = try JSON.parse(damaged) } catch { #expect(error is InputError) }
        }
    }

    @Test func `JSON Lines gives values with their line`() throws {
        let text = "{\"a\": 1}\n\n  \r\n[2]\r\n3"
        var lines: [Int] = []
        var values: [JSON] = []
        try Array(text.utf8).withUnsafeBytes {
            try JSONLines.forEach($0) {
                lines.append($0)
                values.append($1)
            }
        }
        #expect(lines == [1, 4, 5])
        #expect(values == [["a": 1], [2], 3])
    }

    @Test func `JSON Lines says which line is malformed`() {
        let text = "{\"a\": 1}\n\n{\"a\": }\n"
        let error = Array(text.utf8).withUnsafeBytes { bytes in
            inputError { _ = try JSONLines.parse(bytes, file: "d.jsonl") }
        }
        #expect(
            error
                == "d.jsonl: line 3, column 7: malformed JSON: expected a value, found '}'")
    }
}
