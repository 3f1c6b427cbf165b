internal import OslerFormats

/// Where the hub is, who asks, and where its files are kept: Hugging Face's own variables.
package struct HubSettings: Sendable {
    /// `HF_ENDPOINT`: a mirror, or the hub.
    package var endpoint: WebAddress
    /// `HF_HUB_CACHE`, or `hub` in `HF_HOME`.
    package var cache: String
    /// `HF_TOKEN`, or what is stored in `HF_HOME/token`.
    package var token: String?
    /// `HF_HUB_OFFLINE`: only what is on the disk.
    package var isOffline = false
    /// Files at a time.
    package var parallelDownloads = 8
    /// Tries of one request, or of one file without a byte more.
    package var tries = 5
    /// Waits before another try, in seconds.
    package var pause: @Sendable (Double) -> Void = HubSettings.sleep

    package init(endpoint: WebAddress, cache: String, token: String? = nil) {
        (self.endpoint, self.cache, self.token) = (endpoint, cache, token)
    }

    /// - Parameter variable: the environment.
    /// - Throws: `InputError` for an address that is none.
    package init(
        _ variable: (String) -> String? = Environment.value
    ) throws {
        let name = "HF_ENDPOINT"
        var address = variable(name) ?? "https://huggingface.co"
        while address.hasSuffix("/") { address.removeLast() }
        guard let endpoint = WebAddress(address) else {
            throw InputError(
                "\"\(address)\" is no http or https address", field: name,
                remedy: "give one such as https://huggingface.co, or leave it out")
        }
        let user = variable("HOME") ?? "."
        func expanded(_ path: String) -> String {
            path == "~" || path.hasPrefix("~/") ? user + path.dropFirst() : path
        }
        let caches = variable("XDG_CACHE_HOME") ?? FileSystem.join(user, ".cache")
        let home = expanded(variable("HF_HOME") ?? FileSystem.join(caches, "huggingface"))
        let cache = variable("HF_HUB_CACHE") ?? variable("HUGGINGFACE_HUB_CACHE")
        self.init(
            endpoint: endpoint, cache: expanded(cache ?? FileSystem.join(home, "hub")))
        let file = expanded(variable("HF_TOKEN_PATH") ?? FileSystem.join(home, "token"))
        let stored = FileSystem.isFile(file) ? try FileSystem.readText(file) : nil
        let hidesStored = Self.isTrue(variable("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        let token =
            variable("HF_TOKEN") ?? variable("HUGGING_FACE_HUB_TOKEN")
            ?? (hidesStored ? nil : stored)
        let trimmed = token.map(\.trimmed)
        guard trimmed?.unicodeScalars.allSatisfy({ (0x21...0x7E).contains($0.value) }) != false
        else {
            throw InputError(
                "the token has characters that no token has", field: "HF_TOKEN",
                remedy: "copy it again from the hub's settings")
        }
        self.token = trimmed?.isEmpty == false ? trimmed : nil
        isOffline =
            Self.isTrue(variable("HF_HUB_OFFLINE")) || Self.isTrue(variable("TRANSFORMERS_OFFLINE"))
    }

    /// The endpoint with a slash at its end.
    package var base: String {
        let text = endpoint.description
        return text.hasSuffix("/") ? text : text + "/"
    }

    private static func isTrue(_ text: String?) -> Bool {
        ["1", "ON", "YES", "TRUE"].contains(text?.uppercased() ?? "")
    }
}
