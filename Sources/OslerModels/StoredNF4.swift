internal import OslerCompute
internal import OslerFormats

/// bitsandbytes' 4-bit weight in a safetensors file: codes, block scales and the JSON that describes them.
struct StoredNF4 {
    struct Nested {
        let absmax: StoredTensor
        let table: StoredTensor
        let offset: Float
    }

    /// What the description's name has behind the weight's.
    static let stateSuffix = ".quant_state.bitsandbytes__nf4"
    private static let nestedBlockSize = 256

    let shape: [Int]
    let blockSize: Int
    let codes: StoredTensor
    let absmax: StoredTensor
    let nested: Nested?

    /// Whether a weight may be in 4 bits: those of linear layers and the head may.
    static func canReplace(_ name: String) -> Bool {
        name == "lm_head.weight" || name.hasPrefix("model.layers.") && name.hasSuffix(".weight")
    }

    /// - Throws: when a part is missing, or sizes or formats disagree with the shape.
    init(_ name: String, _ shape: [Int], _ state: StoredTensor, _ store: WeightStore) throws {
        let file = state.file.path
        let json = try state.withBytes { try JSON.parse($0, file: file + ": " + state.name) }
        func refuse(_ key: String, _ problem: String) -> InputError {
            InputError(
                problem, file: file, field: state.name + ": " + key,
                remedy: "the file is damaged: fetch it again")
        }
        guard json["quant_type"]?.string == "nf4" else { throw refuse("quant_type", "not nf4") }
        guard shape.count == 2, json["shape"]?.array?.map(\.integer) == shape.map({ $0 }) else {
            throw refuse("shape", "not \(shape), as the configuration asks for")
        }
        guard let blockSize = json["blocksize"]?.integer,
            [32, 64, 128, 256, 512, 1024, 2048, 4096].contains(blockSize)
        else { throw refuse("blocksize", "not a block size of bitsandbytes") }
        func part(_ suffix: String, _ type: StoredType, _ count: Int) throws -> StoredTensor {
            let part = try store.tensor(name + suffix)
            guard part.type == type, part.count == count else {
                throw InputError(
                    "\(part.count) values of \(part.type.rawValue) where \(count) of \(type.rawValue) are expected",
                    file: part.file.path, field: part.name,
                    remedy: "the file is damaged: fetch it again")
            }
            return part
        }
        let count = shape[0] * shape[1]
        let blocks = (count + blockSize - 1) / blockSize
        (self.shape, self.blockSize) = (shape, blockSize)
        codes = try part("", .uint8, (count + 1) / 2)
        guard let offset = json["nested_offset"], !offset.isNull else {
            absmax = try part(".absmax", .float32, blocks)
            nested = nil
            return
        }
        guard let number = offset.double, Float(number).isFinite else {
            throw refuse("nested_offset", "not a finite number")
        }
        let nestedSize = Self.nestedBlockSize
        guard (json["nested_blocksize"] ?? .integer(nestedSize)) == .integer(nestedSize) else {
            throw refuse("nested_blocksize", "not \(nestedSize)")
        }
        absmax = try part(".absmax", .uint8, blocks)
        nested = Nested(
            absmax: try part(
                ".nested_absmax", .float32, (blocks + nestedSize - 1) / nestedSize),
            table: try part(".nested_quant_map", .float32, 256), offset: Float(number))
    }

    /// The weight in memory of the backend.
    func matrix(_ backend: any Backend) throws -> NF4Matrix {
        func copy(_ part: StoredTensor, _ type: DType) throws -> Tensor {
            let tensor = try backend.tensor(type, [part.count])
            part.withBytes { backend.write($0, to: tensor) }
            return tensor
        }
        return NF4Matrix(
            rows: shape[0], columns: shape[1], blockSize: blockSize,
            codes: try copy(codes, .uint8),
            absmax: try copy(absmax, nested == nil ? .float32 : .uint8),
            nested: try nested.map {
                NF4Matrix.Nested(
                    absmax: try copy($0.absmax, .float32), table: try copy($0.table, .float32),
                    offset: $0.offset, blockSize: Self.nestedBlockSize)
            })
    }
}
