internal import COslerKernels

/// What the machine does at best, measured: what shares of a peak refer to. A busy machine only ever shows less.
extension CPUBackend {
    /// Multiply-adds a second on registers, of this backend's instruction set, precision and threads; a multiplication
    /// and an addition are two flops. Takes about 50 ms. NaN where it can't be measured.
    package func measurePeakFlops() -> Double {
        let peak = ok_peak_products(pool.handle, ok_isa(isa.rawValue), precision == .bfloat16)
        return peak.flops > 0 ? peak.flops : .nan
    }

    /// Bytes a second that all threads read from memory together. Takes 256 MiB while it runs. NaN where it can't be
    /// measured.
    package func measureReadBandwidth() -> Double {
        let bandwidth = ok_peak_read(pool.handle, 256 << 20)
        return bandwidth > 0 ? bandwidth : .nan
    }
}
