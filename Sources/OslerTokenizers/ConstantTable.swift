/// A table that is filled once, when it is made, and only read afterwards: no bounds checks, no
/// copies, shared by every copy of a tokenizer.
///
/// `@unchecked Sendable` holds because nothing writes to `base` after `init` returns.
final class ConstantTable<Element: BitwiseCopyable>: @unchecked Sendable {
    let base: UnsafeMutablePointer<Element>
    let count: Int

    /// `count` elements, all `value` unless `fill` changes them.
    init(
        repeating value: Element, count: Int,
        fill: (UnsafeMutablePointer<Element>) throws -> Void = { _ in }
    ) rethrows {
        let base = UnsafeMutablePointer<Element>.allocate(capacity: max(count, 1))
        base.initialize(repeating: value, count: count)
        (self.base, self.count) = (base, count)
        try fill(base)
    }

    convenience init(_ elements: [Element]) {
        if let first = elements.first {
            self.init(repeating: first, count: elements.count) { base in
                for i in elements.indices { base[i] = elements[i] }
            }
        } else {
            self.init(empty: ())
        }
    }

    private init(empty: Void) {
        (base, count) = (.allocate(capacity: 1), 0)
    }

    deinit { base.deallocate() }

    @inline(__always) subscript(i: Int) -> Element { base[i] }
}
