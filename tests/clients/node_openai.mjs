// OpenAI's own client for Node: `node_openai.mjs BASE_URL MODEL [CHECK…]`.

import OpenAI from 'openai';
import { expect, refusal, run } from './checks.mjs';

const [baseURL, model] = process.argv.slice(2);
const question = [{ role: 'user', content: 'What is Assay?' }];
const story = [{ role: 'user', content: 'Tell me a story about a fox.' }];
const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0, timeout: 60_000 });

// A greedy answer of at most 48 tokens.
const ask = (more = {}, options = {}) =>
  client.chat.completions.create({ model, messages: question, temperature: 0, max_tokens: 48, ...more }, options);
const complete = (more = {}) =>
  client.completions.create({ model, prompt: 'Assay is', temperature: 0, max_tokens: 12, ...more });
const all = async (stream) => {
  const chunks = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return chunks;
};
const told = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');

await run({
  async models_are_listed_and_looked_up() {
    const models = await all(client.models.list());
    expect(models.length === 1 && models[0].id === model, models);
    expect((await client.models.retrieve(model)).id === model, 'another model');
  },

  async a_chat_is_answered_and_metered() {
    const { choices, usage } = await ask();
    expect(choices[0].message.content.startsWith('Assay is') && choices[0].finish_reason === 'stop', choices);
    expect(usage.total_tokens === usage.prompt_tokens + usage.completion_tokens, usage);
  },

  async a_stream_says_what_a_whole_answer_says() {
    const whole = await ask();
    const chunks = await all(ask({ stream: true, stream_options: { include_usage: true } }));
    expect(told(chunks) === whole.choices[0].message.content, chunks);
    expect(JSON.stringify(chunks.at(-1).usage) === JSON.stringify(whole.usage), chunks.at(-1));
    expect(chunks.at(-2).choices[0].finish_reason === 'stop', chunks.at(-2));
  },

  async the_streaming_helper_gathers_an_answer() {
    const whole = await ask();
    const stream = client.chat.completions.stream({ model, messages: question, temperature: 0, max_tokens: 48 });
    let said = '';
    stream.on('content', (delta) => (said += delta));
    expect((await stream.finalContent()) === whole.choices[0].message.content, said);
    expect(said === whole.choices[0].message.content, said);
  },

  async a_text_is_completed() {
    const whole = await complete();
    const chunks = await all(complete({ stream: true }));
    const text = chunks.map((chunk) => chunk.choices[0].text).join('');
    expect(text && text === whole.choices[0].text, chunks);
  },

  async two_choices_are_two_answers() {
    const { choices } = await ask({ messages: story, n: 2, temperature: 1.2 });
    expect(choices.length === 2 && choices[0].message.content !== choices[1].message.content, choices);
  },

  async a_stop_string_ends_an_answer_and_is_not_shown() {
    const whole = (await ask()).choices[0].message.content;
    const stop = whole.slice(20, 27);
    const short = (await ask({ stop })).choices[0].message.content;
    expect(short === whole.slice(0, whole.indexOf(stop)), short);
  },

  async log_probabilities_are_told() {
    const { logprobs } = (await ask({ logprobs: true, top_logprobs: 2 })).choices[0];
    expect(logprobs.content.length > 1 && logprobs.content.every((one) => one.top_logprobs.length === 2), logprobs);
  },

  async errors_have_their_own_types() {
    const missing = await refusal(() => ask({ model: 'gpt-4o' }));
    expect(missing instanceof OpenAI.NotFoundError && missing.code === 'model_not_found', missing);
    const hot = await refusal(() => ask({ temperature: -1 }));
    expect(hot instanceof OpenAI.BadRequestError && hot.param === 'temperature', hot);
    const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }];
    const tooled = await refusal(() => ask({ tools }));
    expect(tooled instanceof OpenAI.BadRequestError && tooled.code === 'unsupported_parameter', tooled);
    const streamed = await refusal(() => ask({ tools, stream: true }));
    expect(streamed instanceof OpenAI.BadRequestError, streamed);
  },

  async a_refusal_is_not_sent_again() {
    let sent = 0;
    const counting = new OpenAI({
      baseURL,
      apiKey: 'none',
      maxRetries: 2,
      fetch: (...request) => {
        sent += 1;
        return fetch(...request);
      },
    });
    await refusal(() => counting.chat.completions.create({ model, messages: question, temperature: -1 }));
    expect(sent === 1, `${sent} requests`);
  },

  async a_lost_answer_is_fetched_again_and_made_once() {
    const keys = [];
    const losing = new OpenAI({
      baseURL,
      apiKey: 'none',
      maxRetries: 2,
      fetch: async (url, options) => {
        keys.push(new Headers(options.headers).get('idempotency-key'));
        const response = await fetch(url, options);
        if (keys.length > 1) return response;
        await response.text();
        throw new TypeError('the answer was lost');
      },
    });
    const key = `lost-${crypto.randomUUID()}`;
    const asked = { model, messages: story, temperature: 1, max_tokens: 24 };
    const options = { headers: { 'Idempotency-Key': key } };
    const answer = await losing.chat.completions.create(asked, options);
    expect(keys.length === 2 && keys.every((sent) => sent === key), keys);
    const again = await client.chat.completions.create(asked, options);
    expect(again.id === answer.id && JSON.stringify(again.choices) === JSON.stringify(answer.choices), again);
  },

  async a_client_that_does_not_wait_disturbs_nobody() {
    const late = await refusal(() => ask({ messages: story }, { timeout: 1 }));
    expect(late instanceof OpenAI.APIConnectionTimeoutError, late);
    const stream = await ask({ messages: story, stream: true });
    for await (const chunk of stream) {
      expect(chunk.choices.length === 1, chunk);
      break;
    }
    expect((await ask()).choices[0].message.content, 'nothing was said');
  },

  async eight_streams_at_once_are_as_one_alone() {
    const both = [question, story];
    const alone = await Promise.all(both.map(async (messages) => (await ask({ messages })).choices[0].message.content));
    const streams = Array.from({ length: 8 }, (_, i) => all(ask({ messages: both[i % 2], stream: true })));
    (await Promise.all(streams)).forEach((chunks, i) => expect(told(chunks) === alone[i % 2], chunks));
  },
});
