internal import CCUDA
internal import OslerCompute

/// What a kernel takes: pointers (a tensor's address, 0 for nil), `int`, `long long`, `float`.
///
/// `Int` is missing on purpose: the kernel's own argument says which of the two integers it is.
protocol KernelArgument {
    associatedtype Value: BitwiseCopyable
    var kernelValue: Value { get }
}
extension Int32: KernelArgument { var kernelValue: Int32 { self } }
extension Int64: KernelArgument { var kernelValue: Int64 { self } }
extension UInt64: KernelArgument { var kernelValue: UInt64 { self } }
extension Float: KernelArgument { var kernelValue: Float { self } }
extension Double: KernelArgument { var kernelValue: Double { self } }
extension Tensor: KernelArgument { var kernelValue: UInt64 { deviceAddress } }
extension Optional: KernelArgument where Wrapped == Tensor {
    var kernelValue: UInt64 { self?.deviceAddress ?? 0 }
}

extension Tensor {
    /// Where the first element lies on the card.
    var deviceAddress: UInt64 { UInt64(UInt(bitPattern: address)) }
    /// The element type as kernels are told it (`F32`, `BF16`, `F16` in prelude.cuh).
    var kernelType: Int32 {
        switch dtype {
        case .float32: 0
        case .bfloat16: 1
        case .float16: 2
        case .int32, .uint8: preconditionFailure("\(dtype) elements are no numbers here")
        }
    }
}

/// Blocks of a launch.
struct Grid: ExpressibleByIntegerLiteral {
    let (x, y, z): (Int, Int, Int)

    init(_ x: Int, _ y: Int = 1, _ z: Int = 1) {
        precondition(x <= Int(Int32.max) && y <= 65535 && z <= 65535, "grid \(x), \(y), \(z)")
        (self.x, self.y, self.z) = (x, y, z)
    }
    init(integerLiteral x: Int) { self.init(x) }

    /// One block for every `size` of `count`, at most `limit`: for kernels that loop over the rest.
    static func blocks(of size: Int, covering count: Int, limit: Int = .max) -> Grid {
        Grid(min((count + size - 1) / size, limit))
    }
    var isEmpty: Bool { x == 0 || y == 0 || z == 0 }
}

extension CUDABackend {
    /// Queues `osler_NAME`; `name` is without the prefix. Nothing happens on an empty grid, or after
    /// a failure. Arguments in the order of the kernel's own.
    func launch<each Argument: KernelArgument>(
        _ name: String, grid: Grid, block: Int, shared: Int = 0,
        _ arguments: repeat each Argument
    ) {
        if grid.isEmpty { return }
        perform { () throws(CUDAError) in
            let kernel = try kernels.kernel(name, sharedBytes: shared)
            try kernel.launch(
                grid: grid, block: block, shared: shared, on: device,
                repeat each arguments)
        }
    }
}

extension Kernel {
    /// The arguments lie on the stack, eight bytes each, until the driver has copied them.
    func launch<each Argument: KernelArgument>(
        grid: Grid, block: Int, shared: Int, on device: Device,
        _ arguments: repeat each Argument
    ) throws(CUDAError) {
        var count = 0
        for _ in repeat (each arguments) { count += 1 }
        let status = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: max(count, 1)) {
            values in
            withUnsafeTemporaryAllocation(
                of: UnsafeMutableRawPointer?.self, capacity: max(count, 1)
            ) { places -> CUresult in
                var index = 0
                for argument in repeat each arguments {
                    guard let base = values.baseAddress else { break }
                    let place = UnsafeMutableRawPointer(base + index)
                    Self.store(argument.kernelValue, at: place)
                    places.initializeElement(at: index, to: place)
                    index += 1
                }
                return device.driver.call.cuLaunchKernel(
                    function, UInt32(grid.x), UInt32(grid.y), UInt32(grid.z), UInt32(block), 1, 1,
                    UInt32(shared), device.stream, places.baseAddress, nil)
            }
        }
        try device.driver.check(status, "cuLaunchKernel(\(name))")
    }

    private static func store<Value: BitwiseCopyable>(
        _ value: Value, at place: UnsafeMutableRawPointer
    ) {
        precondition(MemoryLayout<Value>.size <= 8)
        place.storeBytes(of: value, as: Value.self)
    }
}
