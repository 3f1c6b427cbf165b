/// What there is on this machine of all that a GPU run needs, each found or with the reason why not.
package struct CUDASurvey: Sendable {
    package struct Finding: Sendable {
        package let library: CUDALibrary
        /// The file that it was loaded from; nil when it wasn't.
        package let path: String?
        package let version: String?
        package let problem: String?
        package let remedy: String?
    }

    /// In the order of `CUDALibrary`: driver, NVRTC, cuBLASLt.
    package let findings: [Finding]
    package let devices: [DeviceDescription]
    /// Why the driver shows no devices, where it was found.
    package let deviceProblem: String?
    /// Compute capabilities that NVRTC compiles for: 80, 90.
    package let architectures: [Int]

    package init(_ search: LibrarySearch) {
        var findings: [Finding] = []
        var (devices, deviceProblem): ([DeviceDescription], String?) = ([], nil)
        var (architectures, major): ([Int], Int?) = ([], nil)
        do throws(CUDAError) {
            let driver = try search.driver()
            major = driver.version / 1000
            findings.append(
                Finding(
                    library: .driver, path: driver.path,
                    version: "CUDA \(driver.version / 1000).\(driver.version % 1000 / 10)"))
            do throws(CUDAError) {
                devices = try driver.devices()
                if devices.isEmpty { deviceProblem = "the driver shows no GPU" }
            } catch {
                deviceProblem = "\(error)"
            }
        } catch {
            findings.append(Finding(library: .driver, error))
        }
        do throws(CUDAError) {
            let nvrtc = try search.nvrtc(driverMajor: major)
            architectures = nvrtc.architectures
            findings.append(
                Finding(
                    library: .nvrtc, path: nvrtc.path,
                    version: "\(nvrtc.version.major).\(nvrtc.version.minor)"))
        } catch {
            findings.append(Finding(library: .nvrtc, error))
        }
        do throws(CUDAError) {
            let lt = try search.cublasLt(driverMajor: major)
            let version = lt.version
            findings.append(
                Finding(
                    library: .cublasLt, path: lt.path,
                    version: "\(version / 10000).\(version % 10000 / 100).\(version % 100)"))
        } catch {
            findings.append(Finding(library: .cublasLt, error))
        }
        (self.findings, self.devices) = (findings, devices)
        (self.deviceProblem, self.architectures) = (deviceProblem, architectures)
    }
}

extension CUDASurvey.Finding {
    fileprivate init(library: CUDALibrary, path: String, version: String) {
        (self.library, self.path, self.version) = (library, path, version)
        (problem, remedy) = (nil, nil)
    }

    fileprivate init(library: CUDALibrary, _ error: CUDAError) {
        (self.library, path, version) = (library, nil, nil)
        (problem, remedy) = (error.withoutRemedy, error.remedy)
    }
}
