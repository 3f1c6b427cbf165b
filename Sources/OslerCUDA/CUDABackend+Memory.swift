internal import CCUDA
package import OslerCompute

extension CUDABackend {
    package func allocate(byteCount: Int) throws -> Storage {
        try checkHealth()
        return try newStorage(byteCount: byteCount)
    }

    func newStorage(byteCount: Int) throws(CUDAError) -> Storage {
        let address = try device.allocate(byteCount: byteCount)
        guard let base = UnsafeMutableRawPointer(bitPattern: UInt(address)) else {
            throw CUDAError(call: "cuMemAlloc(\(byteCount) bytes)", problem: "gave no memory")
        }
        return Storage(base: base, byteCount: byteCount) { [device] in
            device.free(CUdeviceptr(UInt(bitPattern: $0)), byteCount: byteCount)
        }
    }

    /// A copy on the card; `owner` is needed until this returns.
    package func adopt(
        _ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable
    ) throws -> Storage {
        let storage = try allocate(byteCount: bytes.count)
        upload(bytes, to: CUdeviceptr(UInt(bitPattern: storage.base)))
        try checkHealth()
        withExtendedLifetime(owner) {}
        return storage
    }

    package func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) {
        precondition(bytes.count == tensor.byteCount)
        upload(bytes, to: tensor.deviceAddress)
    }

    /// The bytes are free to change when this returns.
    func upload(_ bytes: UnsafeRawBufferPointer, to address: CUdeviceptr) {
        if bytes.isEmpty { return }
        perform { () throws(CUDAError) in try staging.upload(bytes, to: address) }
    }

    package func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws {
        precondition(bytes.count == tensor.byteCount)
        perform { () throws(CUDAError) in
            if let base = bytes.baseAddress, !bytes.isEmpty {
                try device.driver.check(
                    device.driver.call.cuMemcpyDtoHAsync_v2(
                        base, tensor.deviceAddress, bytes.count, device.stream),
                    "cuMemcpyDtoHAsync(\(bytes.count) bytes)")
            }
            try device.synchronize()
        }
        try checkHealth()
    }

    package func zero(_ tensor: Tensor) {
        if tensor.byteCount == 0 { return }
        perform { () throws(CUDAError) in
            try device.driver.check(
                device.driver.call.cuMemsetD8Async(
                    tensor.deviceAddress, 0, tensor.byteCount, device.stream),
                "cuMemsetD8Async(\(tensor.byteCount) bytes)")
        }
    }

    /// Copies bytes within the card.
    func copyBytes(from source: CUdeviceptr, to destination: CUdeviceptr, count: Int) {
        if count == 0 || source == destination { return }
        perform { () throws(CUDAError) in
            try device.driver.check(
                device.driver.call.cuMemcpyDtoDAsync_v2(
                    destination, source, count, device.stream),
                "cuMemcpyDtoDAsync(\(count) bytes)")
        }
    }
}
