/// Renders one chat with one template. Expressions are in `JinjaInterpreter+Expressions.swift`.
final class JinjaInterpreter {
    /// What a statement tells the loop around it.
    enum Flow { case normal, breakLoop, continueLoop }

    /// The rendered text, and above it the blocks whose text is being captured.
    private var outputs: [String] = [""]
    private(set) var spans: [Range<Int>] = []
    private var work = 0
    private var depth = 0
    /// Things that may refer to each other in circles: emptied at the end.
    private var namespaces: [JinjaNamespace] = []
    private var macroScopes: [JinjaScope] = []
    /// The text that a filter block's filters start from.
    var captured: JinjaValue = .string("")

    static func render(_ statements: [JinjaStatement], _ variables: [String: JinjaValue])
        throws(JinjaFailure) -> RenderedChat
    {
        let interpreter = JinjaInterpreter()
        defer { interpreter.release() }
        let variableScope = JinjaScope(parent: nil)
        variableScope.names = variables
        // An error in a statement without a line of its own is one of the template as a whole.
        _ = try interpreter.run(statements, JinjaScope(parent: variableScope))
        return RenderedChat(text: interpreter.outputs[0], generationSpans: interpreter.spans)
    }

    private func release() {
        for namespace in namespaces { namespace.attributes = JinjaDict() }
        for scope in macroScopes { scope.names = [:] }
    }

    // MARK: Limits

    func charge(_ amount: Int = 1) throws(JinjaFailure) {
        work += amount
        if work > JinjaLimits.work {
            throw JinjaFailure("rendering takes too long: over \(JinjaLimits.work) steps")
        }
    }

    func charge(text value: JinjaValue) throws(JinjaFailure) {
        if case .string(let text) = value { try charge(text.utf8.count / 64) }
        if case .list(let list) = value { try charge(list.items.count) }
    }

    /// Counts one level of nested evaluation; `leave` ends it.
    func enter() throws(JinjaFailure) {
        try charge()
        depth += 1
        if depth > JinjaLimits.depth {
            throw JinjaFailure("more than \(JinjaLimits.depth) nested calls and blocks")
        }
    }
    func leave() { depth -= 1 }

    // MARK: Output

    private func write(_ text: String) throws(JinjaFailure) {
        try charge(text.utf8.count / 64)
        try JinjaOperators.checkLength(outputs[outputs.count - 1].utf8.count + text.utf8.count)
        outputs[outputs.count - 1] += text
    }

    /// The text that `statements` write in a scope of their own.
    func capture(_ statements: [JinjaStatement], _ scope: JinjaScope) throws(JinjaFailure) -> String
    {
        outputs.append("")
        let flow = Result { () throws(JinjaFailure) in try run(statements, scope) }
        let text = outputs.removeLast()
        _ = try flow.get()
        return text
    }

    // MARK: Statements

    private func run(_ statements: [JinjaStatement], _ scope: JinjaScope) throws(JinjaFailure)
        -> Flow
    {
        for statement in statements {
            let flow = try execute(statement, scope)
            if flow != .normal { return flow }
        }
        return .normal
    }

    private func execute(_ statement: JinjaStatement, _ scope: JinjaScope) throws(JinjaFailure)
        -> Flow
    {
        try enter()
        defer { leave() }
        do {
            switch statement.kind {
            case .data(let text): try write(text)
            case .output(let expression): try write(PythonText.string(evaluate(expression, scope)))
            case .conditional(let branches, let otherwise):
                return try conditional(branches, otherwise, scope)
            case .loop(let loop): return try run(loop, scope)
            case .breakLoop: return .breakLoop
            case .continueLoop: return .continueLoop
            default: try define(statement.kind, scope)
            }
            return .normal
        } catch {
            throw error.at(statement.line)
        }
    }

    private func conditional(
        _ branches: [(test: JinjaExpression, body: [JinjaStatement])],
        _ otherwise: [JinjaStatement], _ scope: JinjaScope
    ) throws(JinjaFailure) -> Flow {
        for (test, body) in branches where try evaluate(test, scope).truth {
            return try run(body, scope)
        }
        return try run(otherwise, scope)
    }

    private func define(_ kind: JinjaStatement.Kind, _ scope: JinjaScope) throws(JinjaFailure) {
        switch kind {
        case .set(let target, let value): try assign(evaluate(value, scope), to: target, scope)
        case .setBlock(let target, let filter, let body):
            let text = try filtered(body, filter, scope)
            try assign(text, to: target, scope)
        case .filterBlock(let filter, let body):
            try write(PythonText.string(filtered(body, filter, scope)))
        case .macro(let definition):
            macroScopes.append(scope)
            scope.names[definition.name] = .function(.macro(JinjaMacro(definition, scope: scope)))
        case .callBlock(let definition, let call):
            macroScopes.append(scope)
            let caller = JinjaMacro(definition, scope: scope)
            try write(PythonText.string(self.call(call, scope, caller: caller)))
        case .with(let values, let body):
            let inner = JinjaScope(parent: scope)
            for (target, value) in values { try assign(evaluate(value, scope), to: target, inner) }
            try write(capture(body, inner))
        case .generation(let body): try generation(body, scope)
        default: preconditionFailure("not a definition")
        }
    }

    /// transformers takes the text so far, without enclosing captures, as the start of the block.
    private func generation(_ body: [JinjaStatement], _ scope: JinjaScope) throws(JinjaFailure) {
        let text = try capture(body, JinjaScope(parent: scope))
        let start = outputs[0].utf8.count
        spans.append(start..<(start + text.utf8.count))
        try write(text)
    }

    private func filtered(
        _ body: [JinjaStatement], _ filter: JinjaExpression?, _ scope: JinjaScope
    ) throws(JinjaFailure) -> JinjaValue {
        let text = JinjaValue.string(try capture(body, JinjaScope(parent: scope)))
        guard let filter else { return text }
        let outer = captured
        captured = text
        defer { captured = outer }
        return try evaluate(filter, scope)
    }

    private func run(_ loop: JinjaLoop, _ scope: JinjaScope) throws(JinjaFailure) -> Flow {
        var items = try JinjaOperators.items(of: evaluate(loop.values, scope))
        try charge(items.count)
        if let condition = loop.condition {
            var kept: [JinjaValue] = []
            for item in items {
                let inner = JinjaScope(parent: scope)
                try assign(item, to: loop.target, inner)
                if try evaluate(condition, inner).truth { kept.append(item) }
            }
            items = kept
        }
        let state = JinjaLoopState(items)
        for (index, item) in items.enumerated() {
            state.index = index
            let inner = JinjaScope(parent: scope)
            try assign(item, to: loop.target, inner)
            inner.names["loop"] = .loop(state)
            if try run(loop.body, inner) == .breakLoop { break }
        }
        return items.isEmpty ? try run(loop.otherwise, JinjaScope(parent: scope)) : .normal
    }

    private func assign(_ value: JinjaValue, to target: JinjaTarget, _ scope: JinjaScope)
        throws(JinjaFailure)
    {
        switch target {
        case .name(let name): scope.names[name] = value
        case .attribute(let name, let attribute):
            guard case .namespace(let namespace) = scope.lookup(name) else {
                throw JinjaFailure("'\(name).\(attribute)' can't be set: '\(name)' is no namespace")
            }
            try set(attribute, of: namespace, value)
        case .tuple(let targets):
            let items = try JinjaOperators.items(of: value)
            guard items.count == targets.count else {
                throw JinjaFailure("can't assign \(items.count) values to \(targets.count) names")
            }
            for (item, target) in zip(items, targets) { try assign(item, to: target, scope) }
        }
    }

    // MARK: Namespaces and macros

    func namespace(_ attributes: [(name: String, value: JinjaValue)]) throws(JinjaFailure)
        -> JinjaValue
    {
        let namespace = JinjaNamespace()
        namespaces.append(namespace)
        for (name, value) in attributes { try set(name, of: namespace, value) }
        return .namespace(namespace)
    }

    private func set(_ name: String, of namespace: JinjaNamespace, _ value: JinjaValue)
        throws(JinjaFailure)
    {
        if name.hasPrefix("_") {
            throw JinjaFailure("a namespace can't have the attribute '\(name)': it begins with '_'")
        }
        try namespace.attributes.set(.string(name), value)
    }

    func invoke(_ macro: JinjaMacro, _ arguments: JinjaCallArguments) throws(JinjaFailure)
        -> JinjaValue
    {
        let definition = macro.definition
        let scope = JinjaScope(parent: macro.scope)
        var named = arguments.named
        for (i, parameter) in definition.parameters.enumerated() {
            if i < arguments.positional.count {
                scope.names[parameter.name] = arguments.positional[i]
            } else if let place = named.firstIndex(where: { $0.name == parameter.name }) {
                scope.names[parameter.name] = named.remove(at: place).value
            } else if let value = parameter.value {
                scope.names[parameter.name] = try evaluate(value, scope)
            } else {
                scope.names[parameter.name] = .undefined(
                    "parameter '\(parameter.name)' was not provided")
            }
        }
        try bindSpecial(definition, arguments, &named, scope)
        return .string(try capture(definition.body, scope))
    }

    private func bindSpecial(
        _ definition: JinjaMacroDefinition, _ arguments: JinjaCallArguments,
        _ named: inout [(name: String, value: JinjaValue)], _ scope: JinjaScope
    ) throws(JinjaFailure) {
        let special = definition.specialNames.subtracting(definition.parameters.map(\.name))
        if special.contains("caller") {
            let place = named.firstIndex { $0.name == "caller" }
            scope.names["caller"] =
                place.map { named.remove(at: $0).value } ?? .undefined("No caller defined")
        }
        if special.contains("kwargs") {
            var dict = JinjaDict()
            for (name, value) in named { try dict.set(.string(name), value) }
            scope.names["kwargs"] = .dict(dict)
        } else if let extra = named.first {
            throw JinjaFailure("macro '\(definition.name)' takes no argument '\(extra.name)'")
        }
        let extra = arguments.positional.dropFirst(definition.parameters.count)
        if special.contains("varargs") {
            scope.names["varargs"] = .tuple(try JinjaList(Array(extra)))
        } else if !extra.isEmpty {
            throw JinjaFailure(
                "macro '\(definition.name)' takes at most \(definition.parameters.count) argument(s)"
            )
        }
    }
}

extension JinjaFailure {
    /// The failure with a line, if it has none yet.
    func at(_ line: Int) -> JinjaFailure { JinjaFailure(message, line: self.line ?? line) }
}
