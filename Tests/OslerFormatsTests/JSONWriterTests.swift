import OslerFormats
import Testing

/// Expected texts are what Python's `json.dumps` and `repr` print.
@Suite struct `JSON writing` {
    static let value: JSON = [
        "a": [1, 2.0, ["é": "ü😀\u{7F}\u{1}\"\\/\n"]], "b": [:], "c": [], "Z": .null, "t": true,
        "n": [.number(.nan), .number(.infinity), .number(-.infinity)],
    ]

    @Test func `one line with escapes is the default`() {
        #expect(
            Self.value.serialized()
                == #"{"a": [1, 2.0, {"\u00e9": "\u00fc\ud83d\ude00\u007f\u0001\"\\/\n"}], "b": {}, "#
                + #""c": [], "Z": null, "t": true, "n": [NaN, Infinity, -Infinity]}"#)
    }

    @Test func `without ASCII escapes and with other separators`() {
        #expect(
            Self.value.serialized(ensureASCII: false, separators: (",", ":"))
                == "{\"a\":[1,2.0,{\"é\":\"ü😀\u{7F}\\u0001\\\"\\\\/\\n\"}],\"b\":{},\"c\":[],"
                + "\"Z\":null,\"t\":true,\"n\":[NaN,Infinity,-Infinity]}")
    }

    @Test func `indented with sorted keys`() {
        let expected = #"""
            {
              "Z": null,
              "a": [
                1,
                2.0,
                {
                  "\u00e9": "\u00fc\ud83d\ude00\u007f\u0001\"\\/\n"
                }
              ],
              "b": {},
              "c": [],
              "n": [
                NaN,
                Infinity,
                -Infinity
              ],
              "t": true
            }
            """#
        #expect(Self.value.serialized(indent: 2, sortKeys: true) == expected)
    }

    static let numbers: [(Double, String)] = [
        (0.1, "0.1"), (1e15, "1000000000000000.0"), (1e16, "1e+16"),
        (123456789012345678.0, "1.2345678901234568e+17"), (0.0001, "0.0001"), (0.00001, "1e-05"),
        (1e22, "1e+22"), (1.5, "1.5"), (100, "100.0"), (0x1p-1074, "5e-324"), (0, "0.0"),
        (-0.0, "-0.0"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740993.0, "9007199254740992.0"), (2e-4, "0.0002"),
        (1.0 / 3, "0.3333333333333333"),
        (1234567.125, "1234567.125"), (-2.5e-7, "-2.5e-07"), (3e300, "3e+300"),
        (.infinity, "inf"), (-.infinity, "-inf"), (.nan, "nan"),
    ]

    @Test(arguments: numbers) func `a number prints as in Python`(_ number: Double, _ text: String)
    {
        #expect(number.pythonDescription == text)
    }

    @Test func `numbers read back the same`() throws {
        var random = SplitMix(state: 2)
        let numbers = (0..<20_000).map { _ in Double(bitPattern: random.next()) }
        let changed = try numbers.filter { number in
            try number.isFinite
                && JSON.parse(JSON.number(number).serialized()).double != number
        }
        #expect(changed == [])
    }
}
