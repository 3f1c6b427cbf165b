internal import CCUDA
package import OslerCompute

extension CUDABackend {
    /// A copy from another card, on this one's queue of work; no host waits. The driver goes through host memory where the
    /// two cards don't reach each other.
    package func fetch(_ source: Tensor, from other: any Backend, into destination: Tensor) {
        guard let other = other as? CUDABackend else {
            preconditionFailure("\(other.name) is no card")
        }
        other.perform { () throws(CUDAError) in try other.crossing.record() }
        perform { () throws(CUDAError) in
            try other.crossing.delay(device.stream)
            try device.driver.check(
                device.driver.call.cuMemcpyPeerAsync(
                    destination.deviceAddress, device.context, source.deviceAddress,
                    other.device.context, source.byteCount, device.stream),
                "cuMemcpyPeerAsync(\(source.byteCount) bytes)")
            try crossing.record()
        }
        // The source may be overwritten after that.
        other.perform { () throws(CUDAError) in try crossing.delay(other.device.stream) }
    }
}
