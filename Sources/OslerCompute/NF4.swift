/// The 4-bit normal-float format of QLoRA (Dettmers et al. 2023, section 3), as bitsandbytes stores it.
package enum NF4 {
    /// What the codes 0...15 stand for, in units of a block's largest magnitude.
    package static let table: [Float] = [
        -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
        0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
        0.7229568362236023, 1,
    ]
}

extension NF4Matrix {
    /// The scale of block `block`, decoded when it is kept as an 8-bit code. For host memory.
    package func scale(ofBlock block: Int) -> Float {
        guard let nested else { return absmax.elements(as: Float.self)[block] }
        let code = Int(absmax.elements(as: UInt8.self)[block])
        return nested.table.elements(as: Float.self)[code]
            * nested.absmax.elements(as: Float.self)[block / nested.blockSize] + nested.offset
    }

    /// All values in float32, row-major: table value times scale, rounded once. Plain and slow; for host memory.
    package func values() -> [Float] {
        let codes = codes.elements(as: UInt8.self)
        return (0..<rows * columns).map { i in
            let code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15
            return NF4.table[Int(code)] * scale(ofBlock: i / blockSize)
        }
    }
}
