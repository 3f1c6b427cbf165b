import OslerFormats
import OslerTestSupport
import OslerTokenizers
import Testing

/// `jinja-language.json` was rendered by Jinja2 3.1.6 with transformers' settings; a case has a text or an error.
@Suite struct JinjaLanguageTests {
    static let golden = Result { try ChatFixtures.json("jinja-language.json") }
    static let cases = ((try? golden.get())?["cases"]?.array ?? []).map {
        ($0["template"]?.string ?? "", $0["text"]?.string)
    }
    static var variables: [String: JSON] {
        get throws {
            var result: [String: JSON] = [:]
            for (key, value) in try golden.get()["variables"]?.object?.pairs ?? [] {
                result[key] = value
            }
            return result
        }
    }

    @Test func `the cases are there`() { #expect(Self.cases.count > 100) }

    @Test(arguments: cases)
    func `means what it means in Jinja2`(_ source: String, _ text: String?) throws {
        let variables = try Self.variables
        let result = Result {
            try ChatTemplate(source, name: "t").render([], variables: variables).text
        }
        if let text {
            #expect(try Array(result.get().utf8) == Array(text.utf8), "\(result)")
        } else {
            let error = #expect(throws: InputError.self) { try result.get() }
            #expect(error?.file == "t")
            #expect(error?.field?.hasPrefix("line ") == true, "\(String(describing: error))")
        }
    }

    @Test(
        arguments: [
            ("a\n{{ x|zork }}", "t: line 2: unknown filter 'zork'"),
            ("a\n\n{{ x is zork }}", "t: line 3: unknown test 'zork'"),
            ("{% if true %}\n{{ 1|zork }}{% endif %}", "t: line 2: unknown filter 'zork'"),
            ("\n{% foo %}", "t: line 2: unknown tag '{% foo %}'"),
            (
                "{% if a %}\n{% endfor %}",
                "t: line 2: unknown tag '{% endfor %}' (inside '{% if %}' of line 1)"
            ),
            ("\n{% if a %}\nx", "t: line 2: '{% if %}' is never closed"),
            ("{# a\n", "t: line 1: the comment '{#' is never closed"),
            ("\n{{ 'abc }}", "t: line 2: the string is never closed"),
            ("{{ (1] }}", "t: line 1: unexpected ']', expected ')'"),
            ("\n{{ @ }}", "t: line 2: unexpected character '@'"),
            ("{{ 1 2 }}", "t: line 1: expected '}}', found '2'"),
            ("{% include 'x' %}", "t: line 1: '{% include %}' is not supported in a chat template"),
            ("\n{{ a.b }}", "t: line 2: 'a' is undefined"),
            ("{{ s.encode() }}", "t: line 1: the method 'str.encode' is not supported"),
            ("{{ raise_exception('no ' ~ n) }}", "t: line 1: the template refuses: no 3"),
            (
                "{% for i in [1] %}\n{{ i + 'a' }}{% endfor %}",
                "t: line 2: '+' can't combine int and str"
            ),
            ("{% macro m() %}\n{{ 1/0 }}{% endmacro %}\n{{ m() }}", "t: line 2: division by zero"),
            (
                "{{ cycler('a') }}",
                "t: line 1: the function 'cycler' is not supported in a chat template"
            ),
            (
                "{% set ns = namespace(_a=1) %}",
                "t: line 1: a namespace can't have the attribute '_a': it begins with '_'"
            ),
            (
                "{{ 99999999999999999999 }}",
                "t: line 1: the number 99999999999999999999 is too large"
            ),
        ])
    func `an error names the line and the construct`(_ source: String, _ message: String) throws {
        let error = #expect(throws: InputError.self) {
            try ChatTemplate(source, name: "t").render([], variables: Self.variables)
        }
        #expect(error?.description == message)
    }

    /// None of these may hang, overflow the stack or fill the memory.
    @Test(
        arguments: [
            "{% for i in range(99999) %}{% for j in range(99999) %}{{ i }}{% endfor %}{% endfor %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% macro m() %}{% for i in [1] %}{% if true %}{{ (((m()))) ~ 1 }}{% endif %}{% endfor %}{% endmacro %}{{ m() }}",
            "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
            "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
            "{% set ns = namespace(s=[]) %}{% for i in range(9999) %}{% set ns.s = [ns.s] %}{% endfor %}",
            "{{ 'x' * 999999999999 }}", "{{ [1] * 999999999999 }}", "{{ range(99999999) }}",
            "{{ 'x'|center(999999999999) }}", "{{ 'a'|indent(99999999999, true) }}",
            "{{ '%999999999d' % 1 }}", "{{ 9223372036854775807 + 1 }}", "{{ 2 ** 999 }}",
        ])
    func `hostile templates end with an error`(_ source: String) throws {
        #expect(throws: InputError.self) {
            try ChatTemplate(source).render([], variables: ["a": .string("x")])
        }
    }

    @Test(
        arguments: [
            ("{{ ", "("), ("{{ ", "["), ("{{ ", "{"), ("{{ ", "-"), ("{{ ", "not "), ("{{ 1", "+1"),
            ("{{ a", ".b"),
            ("{{ a", "|trim"), ("{{ 1", " if 1 else 1"), ("", "{% if 1 %}"), ("{% set ", "("),
        ])
    func `nesting is bounded`(_ start: String, _ repeated: String) throws {
        let close = ["(": ")", "[": "]", "{": "}"][repeated] ?? ""
        let source =
            start + String(repeating: repeated, count: 5000) + "1"
            + String(repeating: close, count: 5000) + (start.hasPrefix("{%") ? " %}" : " }}")
        let error = #expect(throws: InputError.self) {
            try ChatTemplate(source).render([], variables: ["a": .string("x")])
        }
        #expect(error?.problem.contains("more than") == true)
    }

    /// Deep but allowed: the stack must bear the limits.
    @Test func `limits are generous`() throws {
        let chain = "{{ 0" + String(repeating: "+1", count: 250) + " }}"
        #expect(try ChatTemplate(chain).render([]).text == "250")
        let nested =
            String(repeating: "{% if 1 %}", count: 90) + "x"
            + String(repeating: "{% endif %}", count: 90)
        #expect(try ChatTemplate(nested).render([]).text == "x")
        let recursion =
            "{% macro m(i) %}{{ i }}{% if i > 0 %}{{ m(i - 1) }}{% endif %}{% endmacro %}{{ m(80)|length }}"
        #expect(try ChatTemplate(recursion).render([]).text == "152")
        let long = "{% for m in messages %}{{ m.content }}{% endfor %}"
        let message = JSON.object(
            JSON.Object([("content", .string(String(repeating: "ab\r\n", count: 1000)))]))
        #expect(
            try ChatTemplate(long).render(Array(repeating: message, count: 2000)).text.utf8.count
                == 8_000_000)
    }

    @Test func `namespaces that refer to themselves are released`() throws {
        let source =
            "{% set ns = namespace() %}{% set ns.me = [ns] %}{% macro m() %}{% endmacro %}{% set ns.m = m %}ok"
        #expect(try ChatTemplate(source).render([]).text == "ok")
    }

    @Test func `the date is today's`() throws {
        let text = try ChatTemplate("{{ strftime_now('%Y') }}").render([]).text
        #expect(Int(text).map { $0 > 2024 } == true)
    }

    @Test func `spans are bytes of UTF-8`() throws {
        let source =
            "é{% generation %}患{% endgeneration %}{% for i in [1, 2] %}{% generation %}{{ i }}{% endgeneration %}{% endfor %}"
        let rendered = try ChatTemplate(source).render([])
        #expect(rendered.text == "é患12")
        #expect(rendered.generationSpans == [2..<5, 5..<6, 6..<7])
    }

    @Test func `continuing cuts the last message's end and its spans`() throws {
        let template = try ChatFixtures.template("chatml-generation")
        let chat = try ChatFixtures.conversation("user-assistant-think")
        let full = try template.render(chat)
        let cut = try template.render(chat, continueFinalMessage: true)
        let end = "<|im_end|>\n".utf8.count
        #expect(Array(cut.text.utf8) == Array(full.text.utf8.dropLast(end)))
        #expect(cut.generationSpans.map(\.upperBound) == [cut.text.utf8.count])
        #expect(throws: InputError.self) {
            try template.render(chat, addGenerationPrompt: true, continueFinalMessage: true)
        }
        #expect(throws: InputError.self) { try template.render([], continueFinalMessage: true) }
    }
}
