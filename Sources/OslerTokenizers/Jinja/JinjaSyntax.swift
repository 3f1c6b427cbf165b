/// What is wrong with a template; `ChatTemplate` adds the template's name and throws it as an
/// `InputError`.
struct JinjaFailure: Error {
    var message: String
    /// Filled in by the innermost construct that knows its line.
    var line: Int?

    init(_ message: String, line: Int? = nil) { (self.message, self.line) = (message, line) }
}

/// Bounds that no honest template meets: a hostile one stops with an error instead of hanging or
/// overflowing the stack.
enum JinjaLimits {
    /// Nested tags and brackets.
    static let nesting = 100
    /// Height of an expression's tree; a chain of operators is as high as it is long.
    static let expressionHeight = 300
    /// Nested evaluations while rendering, macros included.
    static let depth = 600
    /// Lists within lists.
    static let valueHeight = 200
    /// Evaluated nodes and moved values, one for each, plus one for each 64 bytes of text made.
    static let work = 5_000_000
    /// Bytes in one string, the rendered chat included.
    static let stringBytes = 1 << 27
    /// Items in one list.
    static let listCount = 1_000_000
    /// Numbers in one `range()`, as in Jinja's sandbox.
    static let rangeLength = 100_000
}

/// An expression and the template line it begins on.
struct JinjaExpression: Sendable {
    let line: Int
    /// Levels of expressions from here down, bounded by `JinjaLimits.expressionHeight`.
    var height = 1
    let kind: Kind

    indirect enum Kind: Sendable {
        case none
        case bool(Bool)
        case int(Int)
        case float(Double)
        case string(String)
        case name(String)
        case list([JinjaExpression])
        case tuple([JinjaExpression])
        case dict([(key: JinjaExpression, value: JinjaExpression)])
        case attribute(JinjaExpression, String)
        case item(JinjaExpression, JinjaExpression)
        case slice(
            JinjaExpression, start: JinjaExpression?, stop: JinjaExpression?, step: JinjaExpression?
        )
        case call(JinjaExpression, JinjaArguments)
        case filter(JinjaExpression, String, JinjaArguments)
        case test(JinjaExpression, String, JinjaArguments)
        case negative(JinjaExpression)
        case positive(JinjaExpression)
        case not(JinjaExpression)
        case and(JinjaExpression, JinjaExpression)
        case or(JinjaExpression, JinjaExpression)
        case arithmetic(JinjaExpression, String, JinjaExpression)
        case concatenation([JinjaExpression])
        case comparison(JinjaExpression, [(operation: String, operand: JinjaExpression)])
        case conditional(JinjaExpression, test: JinjaExpression, otherwise: JinjaExpression?)
        /// The text of the block that a filter is applied to, in `{% set x | filter %}` and `{%
        /// filter %}`.
        case captured
    }
}

/// The arguments of a call, filter or test, as written.
struct JinjaArguments: Sendable {
    var positional: [JinjaExpression] = []
    var named: [(name: String, value: JinjaExpression)] = []
    /// `*args` and `**kwargs`.
    var spread: JinjaExpression?
    var namedSpread: JinjaExpression?
}

/// What `set` and `for` assign to.
indirect enum JinjaTarget: Sendable {
    case name(String)
    case attribute(namespace: String, String)
    case tuple([JinjaTarget])
}

/// A macro, or the body of a `{% call %}` block, which is an unnamed one.
struct JinjaMacroDefinition: Sendable {
    var name: String
    /// Names with their defaults.
    var parameters: [(name: String, value: JinjaExpression?)]
    var body: [JinjaStatement]
    /// Which of `varargs`, `kwargs` and `caller` the body mentions: only those are accepted.
    var specialNames: Set<String> = []
}

struct JinjaStatement: Sendable {
    let line: Int
    let kind: Kind

    indirect enum Kind: Sendable {
        case data(String)
        case output(JinjaExpression)
        case conditional(
            [(test: JinjaExpression, body: [JinjaStatement])], otherwise: [JinjaStatement])
        case loop(JinjaLoop)
        case set(JinjaTarget, JinjaExpression)
        /// The value is the block's text through the filters, if there are any.
        case setBlock(JinjaTarget, filter: JinjaExpression?, body: [JinjaStatement])
        case filterBlock(JinjaExpression, body: [JinjaStatement])
        case macro(JinjaMacroDefinition)
        case callBlock(JinjaMacroDefinition, call: JinjaExpression)
        case with([(target: JinjaTarget, value: JinjaExpression)], body: [JinjaStatement])
        case generation([JinjaStatement])
        case breakLoop
        case continueLoop
    }
}

struct JinjaLoop: Sendable {
    var target: JinjaTarget
    var values: JinjaExpression
    var condition: JinjaExpression?
    var body: [JinjaStatement]
    var otherwise: [JinjaStatement]
}
