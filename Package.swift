// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6), .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]
// Numeric code that a debug build could not bear unoptimised.
let hot: [SwiftSetting] = strict + [.unsafeFlags(["-O"], .when(configuration: .debug))]

let package = Package(
    name: "osler",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "osler", targets: ["osler"]),
        // For people who work on Osler: Scripts/gpu-check asks it about a card.
        .executable(name: "osler-gpu-check", targets: ["OslerGPUCheck"]),
        // For tests: stands in for the CUDA driver and runs the kernels on the CPU.
        .library(name: "CudaSim", type: .dynamic, targets: ["CudaSim"]),
    ],
    dependencies: [
        // The command line: parsing, help, completion. Links FoundationEssentials only.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // YAML configuration files; the only user of full Foundation, kept in the executable.
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .executableTarget(
            name: "osler",
            dependencies: [
                "OslerReport", "OslerTracking", "OslerTraining", "OslerEvaluation",
                "OslerInference", "OslerData", "OslerModels", "OslerTokenizers", "OslerFormats",
                "OslerCUDA", "OslerCompute", "OslerHub",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Yams", package: "Yams"),
            ], swiftSettings: strict),
        .target(name: "OslerReport", dependencies: ["OslerFormats"], swiftSettings: hot),
        .target(
            name: "OslerTracking", dependencies: ["OslerTraining", "OslerFormats"],
            swiftSettings: strict),
        .target(
            name: "OslerTraining",
            dependencies: [
                "OslerModels", "OslerData", "OslerTokenizers", "OslerFormats", "OslerCompute",
            ],
            swiftSettings: hot),
        .target(
            name: "OslerEvaluation",
            dependencies: [
                "OslerInference", "OslerModels", "OslerData", "OslerTokenizers", "OslerFormats",
            ], swiftSettings: hot),
        .target(
            name: "OslerInference",
            dependencies: ["OslerModels", "OslerTokenizers", "OslerFormats", "OslerCompute"],
            swiftSettings: hot),
        .target(
            name: "OslerModels", dependencies: ["OslerFormats", "OslerCompute"], swiftSettings: hot),
        .target(
            name: "OslerData", dependencies: ["OslerTokenizers", "OslerFormats"], swiftSettings: hot
        ),
        .target(name: "OslerTokenizers", dependencies: ["OslerFormats"], swiftSettings: hot),
        .target(
            name: "OslerHub", dependencies: ["OslerFormats", "COslerCurl"], swiftSettings: hot),
        // libcurl by dlopen: no header and nothing to link, so a build costs and needs nothing more.
        .target(name: "COslerCurl"),
        .target(name: "OslerFormats", dependencies: ["CZlib"], swiftSettings: hot),
        // gzip-compressed datasets; zlib is on every Linux machine, its header in zlib1g-dev.
        .systemLibrary(
            name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        .target(name: "OslerCompute", dependencies: ["COslerKernels"], swiftSettings: hot),
        .target(
            name: "COslerKernels",
            // Optimised in debug builds too: unoptimised kernels are up to 75 times slower.
            cSettings: [.unsafeFlags(["-O3", "-fno-math-errno"])]),
        // The CUDA libraries are opened when a run asks for a GPU; nothing of them is needed to build.
        .target(
            name: "OslerCUDA",
            dependencies: ["CCUDA", "CCUDAKernels", "OslerFormats", "OslerCompute"],
            swiftSettings: hot),
        .target(name: "CCUDA"),
        .target(name: "CCUDAKernels", exclude: ["cuda"]),
        .target(
            name: "CudaSim",
            cxxSettings: [.unsafeFlags(["-O2"], .when(configuration: .debug))]),
        .target(
            name: "OslerTestSupport", dependencies: ["OslerFormats", "OslerCompute", "OslerHub"],
            swiftSettings: hot),
        .executableTarget(
            name: "OslerGPUCheck",
            dependencies: [
                "OslerInference", "OslerModels", "OslerCUDA", "OslerCompute", "OslerFormats",
                "OslerTestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: strict),
        .testTarget(
            name: "OslerComputeTests",
            dependencies: ["OslerCompute", "OslerFormats", "OslerTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OslerCUDATests",
            dependencies: [
                "OslerCUDA", "OslerTraining", "OslerModels", "OslerData", "OslerCompute",
                "OslerFormats", "OslerTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OslerFormatsTests", dependencies: ["OslerFormats", "OslerTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OslerHubTests", dependencies: ["OslerHub", "OslerFormats", "OslerTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OslerTokenizersTests",
            dependencies: ["OslerTokenizers", "OslerFormats", "OslerTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OslerDataTests",
            dependencies: ["OslerData", "OslerTokenizers", "OslerFormats", "OslerTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OslerModelsTests",
            dependencies: ["OslerModels", "OslerFormats", "OslerCompute", "OslerTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OslerTrainingTests",
            dependencies: [
                "OslerTraining", "OslerModels", "OslerData", "OslerTokenizers", "OslerFormats",
                "OslerCompute",
                "OslerTestSupport",
            ], swiftSettings: strict),
        .testTarget(
            name: "OslerReportTests",
            dependencies: ["OslerReport", "OslerFormats", "OslerTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "OslerTrackingTests",
            dependencies: [
                "OslerTracking", "OslerTraining", "OslerModels", "OslerFormats", "OslerTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OslerInferenceTests",
            dependencies: [
                "OslerInference", "OslerModels", "OslerTokenizers", "OslerFormats", "OslerCompute",
                "OslerTestSupport",
            ], swiftSettings: strict),
        .testTarget(
            name: "OslerEvaluationTests",
            dependencies: [
                "OslerEvaluation", "OslerInference", "OslerModels", "OslerData", "OslerTokenizers",
                "OslerFormats", "OslerCompute", "OslerTestSupport",
            ], swiftSettings: strict),
        .testTarget(
            name: "oslerTests",
            dependencies: [
                "osler", "OslerGPUCheck", "OslerTracking", "OslerFormats", "OslerTestSupport",
            ],
            swiftSettings: strict),
    ],
    cLanguageStandard: .c2x, cxxLanguageStandard: .cxx17
)
