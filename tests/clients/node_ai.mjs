// Vercel's AI SDK, which has a client of its own for OpenAI's interface: `node_ai.mjs BASE_URL MODEL [CHECK…]`.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, streamText } from 'ai';
import { expect, refusal, run } from './checks.mjs';

const [baseURL, model] = process.argv.slice(2);
const provider = createOpenAICompatible({ name: 'assay', baseURL, includeUsage: true });
const common = { model: provider(model), temperature: 0, maxOutputTokens: 48, maxRetries: 0 };
const prompt = 'What is Assay?';

await run({
  async a_prompt_is_answered_and_metered() {
    const { text, usage, finishReason } = await generateText({ ...common, prompt });
    expect(text.startsWith('Assay is') && finishReason === 'stop', { text, finishReason });
    expect(usage.totalTokens === usage.inputTokens + usage.outputTokens, usage);
  },

  async a_stream_says_what_a_whole_answer_says() {
    const whole = await generateText({ ...common, prompt });
    const stream = streamText({ ...common, prompt });
    let text = '';
    for await (const piece of stream.textStream) text += piece;
    expect(text === whole.text, text);
    expect((await stream.usage).outputTokens === whole.usage.outputTokens, await stream.usage);
  },

  async a_text_is_completed() {
    const { text } = await generateText({ ...common, model: provider.completionModel(model), prompt: 'Assay is' });
    expect(text, text);
  },

  async errors_are_told_and_not_retried() {
    const missing = await refusal(() => generateText({ ...common, model: provider('gpt-4o'), maxRetries: 2, prompt }));
    expect(APICallError.isInstance(missing) && missing.statusCode === 404 && !missing.isRetryable, missing);
  },
});
