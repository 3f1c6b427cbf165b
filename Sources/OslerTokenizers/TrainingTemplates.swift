/// Templates that are safe to train with, for families whose shipped template loses part of the assistant's text.
package enum TrainingTemplates {
    /// The template to train with instead of `source`, and a line that tells the user why; nil when `source` is not a
    /// family that needs one.
    package static func safeTemplate(for source: String) -> (template: ChatTemplate, note: String)?
    {
        nil
    }
}
