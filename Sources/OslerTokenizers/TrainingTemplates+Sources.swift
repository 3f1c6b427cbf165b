/// The templates' texts, our own. Each raises an error for what it doesn't cover rather than lose
/// it.
extension TrainingTemplates {
    private static let refuseTools = """
        {%- if tools -%}{{- raise_exception('this training template covers no tools') -}}{%- endif -%}
        {%- for message in messages -%}
            {%- if message.role == 'tool' or message.tool_calls or message.content is not string -%}
                {{- raise_exception('this training template covers plain text messages only, no tools') -}}
            {%- endif -%}
        {%- endfor -%}

        """

    /// An assistant's text as `content`: `reasoning_content` in front, between tags.
    private static let reasoningFirst = """
            {%- set content = message.content -%}
            {%- if message.reasoning_content is string and not content.startswith('<think>') -%}
                {%- set content = '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' + content -%}
            {%- endif -%}

        """

    /// - Parameters:
    ///   - opening: what the revision's generation prompt ends with after `<｜Assistant｜>`.
    ///   - joinsSystem: several system messages are joined; else the last one counts.
    static func deepSeekSafe(opening: String, joinsSystem: Bool) -> String {
        let newline = """
            {%- if content.startswith('<think>') and not content.startswith('<think>\\n') -%}
                {%- set content = '<think>\\n' + content[7:] -%}
            {%- endif -%}

            """
        let system = joinsSystem ? "{{- texts | join('\\n\\n') -}}" : "{{- texts | last -}}"
        return refuseTools + """
            {{- bos_token -}}
            {%- set texts = messages | selectattr('role', '==', 'system') | map(attribute='content') | list -%}
            \(system)
            {%- for message in messages -%}
                {%- if message.role == 'user' -%}
                    {{- '<｜User｜>' + message.content -}}
                {%- elif message.role == 'assistant' -%}
                    \(reasoningFirst)\(opening.isEmpty ? "" : newline)
                    {{- '<｜Assistant｜>' -}}
                    {%- generation -%}{{- content + '<｜end▁of▁sentence｜>' -}}{%- endgeneration -%}
                {%- elif message.role != 'system' -%}
                    {{- raise_exception('unknown role ' + message.role) -}}
                {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}{{- '<｜Assistant｜>\(opening)' -}}{%- endif -%}
            """
    }

    static let qwen3Safe =
        refuseTools + """
            {%- for message in messages -%}
                {{- '<|im_start|>' + message.role + '\\n' -}}
                {%- if message.role == 'assistant' -%}
                    \(reasoningFirst)
                    {%- generation -%}{{- content + '<|im_end|>' -}}{%- endgeneration -%}
                    {{- '\\n' -}}
                {%- elif message.role in ['user', 'system'] -%}
                    {{- message.content + '<|im_end|>\\n' -}}
                {%- else -%}
                    {{- raise_exception('unknown role ' + message.role) -}}
                {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
                {{- '<|im_start|>assistant\\n' -}}
                {%- if enable_thinking is false -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}
            {%- endif -%}
            """

    // MARK: TRL's

    static let trlDeepSeek =
        refuseTools + """
            {{- bos_token -}}
            {{- messages | selectattr('role', '==', 'system') | map(attribute='content') | list | last -}}
            {%- for message in messages -%}
                {%- if message.role == 'user' -%}
                    {{- '<｜User｜>' + message.content -}}
                {%- elif message.role == 'assistant' -%}
                    {%- generation -%}
                        {{- '<｜Assistant｜>' + message.content + '<｜end▁of▁sentence｜>' -}}
                    {%- endgeneration -%}
                {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}{{- '<｜Assistant｜><think>\\n' -}}{%- endif -%}
            """

    static let trlLlama3 =
        refuseTools + """
            {%- for message in messages -%}
                {{- (bos_token if loop.first) ~ '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\\n\\n' -}}
                {%- set turn = message.content | trim + '<|eot_id|>' -%}
                {%- if message.role == 'assistant' -%}
                    {%- generation -%}{{- turn -}}{%- endgeneration -%}
                {%- else -%}
                    {{- turn -}}
                {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
                {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
            {%- endif -%}
            """

    static let trlQwen2 =
        refuseTools + """
            {%- if messages[0].role != 'system' -%}
                {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.' -}}
                {{- '<|im_end|>\\n' -}}
            {%- endif -%}
            {%- for message in messages -%}
                {%- set turn = '\\n' + message.content + '<|im_end|>\\n' -%}
                {%- if message.role == 'assistant' -%}
                    {{- '<|im_start|>assistant' -}}
                    {%- generation -%}{{- turn -}}{%- endgeneration -%}
                {%- elif message.role in ['user', 'system'] -%}
                    {{- '<|im_start|>' + message.role + turn -}}
                {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
            """

    /// Reasoning and answer are what stands before the first and after the last `</think>`.
    static let trlQwen3 =
        refuseTools + """
            {%- for message in messages -%}
                {%- set content = message.content -%}
                {%- if message.role == 'assistant' -%}
                    {%- set reasoning = '' -%}
                    {%- if message.reasoning_content is string -%}
                        {%- set reasoning = message.reasoning_content -%}
                    {%- elif '</think>' in content -%}
                        {%- set reasoning = content.split('</think>', 1)[0].rstrip('\\n').rsplit('<think>', 1)[-1] -%}
                        {%- set content = content.rsplit('</think>', 1)[-1] -%}
                    {%- endif -%}
                    {{- '<|im_start|>assistant\\n' -}}
                    {%- generation -%}
                        {{- '<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' -}}
                        {{- content.lstrip('\\n') + '<|im_end|>\\n' -}}
                    {%- endgeneration -%}
                {%- elif message.role in ['user', 'system'] -%}
                    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' -}}
                {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
                {{- '<|im_start|>assistant\\n' -}}
                {%- if enable_thinking is false -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}
            {%- endif -%}
            """

    static let trlGemma =
        refuseTools + """
            {{- bos_token -}}
            {%- if messages[0].role == 'system' -%}
                {{- raise_exception('System role not supported') -}}
            {%- endif -%}
            {%- for message in messages -%}
                {%- if loop.index is odd and message.role != 'user' or loop.index is even and message.role == 'user' -%}
                    {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}
                {%- endif -%}
                {%- set turn = message.content | trim + '<end_of_turn>\\n' -%}
                {%- if message.role == 'assistant' -%}
                    {{- '<start_of_turn>model\\n' -}}
                    {%- generation -%}{{- turn -}}{%- endgeneration -%}
                {%- else -%}
                    {{- '<start_of_turn>' + message.role + '\\n' + turn -}}
                {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}
            """

    static let trlPhi3 =
        refuseTools + """
            {%- for message in messages if message.role in ['system', 'user', 'assistant'] -%}
                {%- set turn = message.content + '<|end|>\\n' -%}
                {{- '<|' + message.role + '|>\\n' -}}
                {%- if message.role == 'assistant' -%}
                    {%- generation -%}{{- turn -}}{%- endgeneration -%}
                {%- else -%}
                    {{- turn -}}
                {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
                {{- '<|assistant|>\\n' -}}
            {%- elif messages[-1].role == 'assistant' -%}
                {%- generation -%}{{- eos_token -}}{%- endgeneration -%}
            {%- else -%}
                {{- eos_token -}}
            {%- endif -%}
            """
}
