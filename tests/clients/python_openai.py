"""OpenAI's own client for Python: `python_openai.py BASE_URL MODEL [CHECK…]`."""

import asyncio
import sys

import openai
from checks import check, expect, run
from transport import Counting, through

BASE_URL, MODEL = sys.argv[1:3]
QUESTION = [{"role": "user", "content": "What is Assay?"}]
STORY = [{"role": "user", "content": "Tell me a story about a fox."}]

client = openai.OpenAI(base_url=BASE_URL, api_key="none", timeout=60, max_retries=0)
chat = client.chat.completions.create
complete = client.completions.create


def ask(messages=QUESTION, **more):
    """A greedy answer of at most 48 tokens."""
    return chat(**{"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": 48, **more})


def refused(error, **more):
    """The error that a request raises."""
    try:
        ask(**more)
    except error as caught:
        return caught
    raise AssertionError(f"{more} was not refused")


@check
def models_are_listed_and_looked_up():
    models = client.models.list().data
    expect([model.id for model in models] == [MODEL], models)
    expect(all(model.object == "model" and model.created >= 0 and model.owned_by for model in models), models)
    expect(client.models.retrieve(MODEL).id == MODEL, "another model")


@check
def a_chat_is_answered_and_metered():
    answer = ask()
    choice = answer.choices[0]
    expect(answer.object == "chat.completion" and answer.id and answer.model == MODEL, answer)
    expect(choice.index == 0 and choice.message.role == "assistant", choice)
    expect(choice.message.content.startswith("Assay is"), choice)
    expect(choice.finish_reason == "stop", choice)
    usage = answer.usage
    expect(usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage)
    expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage)


@check
def a_stream_says_what_a_whole_answer_says():
    whole = ask()
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    expect(len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1, chunks)
    expect(all(chunk.object == "chat.completion.chunk" for chunk in chunks), chunks)
    *said, last = chunks
    expect(last.choices == [] and last.usage == whole.usage, last)
    expect(all(chunk.usage is None for chunk in said), said)
    expect(said[0].choices[0].delta.role == "assistant", said[0])
    text = "".join(chunk.choices[0].delta.content or "" for chunk in said)
    expect(text == whole.choices[0].message.content, text)
    ends = [chunk.choices[0].finish_reason for chunk in said]
    expect(ends[-1] == "stop" and not any(ends[:-1]), ends)
    expect(not any(chunk.usage for chunk in ask(stream=True)), "usage that nobody asked for")


@check
def the_streaming_helper_gathers_an_answer():
    whole = ask()
    with client.chat.completions.stream(model=MODEL, messages=QUESTION, temperature=0, max_tokens=48) as stream:
        said = [event.delta for event in stream if event.type == "content.delta"]
        gathered = stream.get_final_completion().choices[0]
    expect("".join(said) == whole.choices[0].message.content, said)
    expect(gathered.message.content == whole.choices[0].message.content, gathered)
    expect(gathered.finish_reason == "stop", gathered)


@check
def a_text_is_completed():
    more = {"model": MODEL, "prompt": "Assay is", "max_tokens": 12, "temperature": 0}
    whole = complete(**more)
    choice = whole.choices[0]
    expect(whole.object == "text_completion" and choice.text and choice.index == 0, whole)
    expect(whole.usage.completion_tokens <= 12 and whole.usage.total_tokens > 12, whole.usage)
    chunks = list(complete(**more, stream=True, stream_options={"include_usage": True}))
    expect("".join(chunk.choices[0].text for chunk in chunks[:-1]) == choice.text, chunks)
    expect(chunks[-2].choices[0].finish_reason == choice.finish_reason, chunks[-2])
    expect(chunks[-1].usage == whole.usage, chunks[-1])


@check
def two_choices_are_two_answers():
    more = {"n": 2, "temperature": 1.2, "max_tokens": 24}
    whole = ask(STORY, **more)
    expect(sorted(choice.index for choice in whole.choices) == [0, 1], whole)
    texts = {choice.message.content for choice in whole.choices}
    expect(len(texts) == 2, texts)
    expect(24 < whole.usage.completion_tokens <= 48, whole.usage)
    told = {0: "", 1: ""}
    for chunk in ask(STORY, stream=True, **more):
        for choice in chunk.choices:
            told[choice.index] += choice.delta.content or ""
    expect(all(told.values()) and told[0] != told[1], told)


@check
def a_stop_string_ends_an_answer_and_is_not_shown():
    whole = ask().choices[0].message.content
    for stop in [whole[20:27], ["never said", whole[30:31], whole[33:40]]]:
        first = min(whole.index(one) for one in ([stop] if isinstance(stop, str) else stop) if one in whole)
        choice = ask(stop=stop).choices[0]
        expect(choice.message.content == whole[:first] and choice.finish_reason == "stop", choice)
        told = "".join(chunk.choices[0].delta.content or "" for chunk in ask(stop=stop, stream=True))
        expect(told == whole[:first], told)


@check
def a_limit_ends_an_answer():
    for limit in [{"max_tokens": 5}, {"max_tokens": None, "max_completion_tokens": 5}]:
        answer = ask(**limit)
        expect(answer.choices[0].finish_reason == "length", answer)
        expect(answer.usage.completion_tokens == 5, answer.usage)


@check
def log_probabilities_are_told():
    answer = ask(logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    # The token that ends an answer is counted, but has no text.
    expect(answer.usage.completion_tokens - len(tokens) in [0, 1], (answer.usage, tokens))
    spoken = b"".join(bytes(token.bytes) for token in tokens)
    expect(spoken.decode() == answer.choices[0].message.content, spoken)
    for token in tokens:
        top = token.top_logprobs
        expect(len(top) == 3 and top[0].token == token.token and top[0].logprob == token.logprob, token)
        expect(0 >= top[0].logprob >= top[1].logprob >= top[2].logprob, token)
    chunks = ask(logprobs=True, top_logprobs=3, stream=True)
    told = [one for chunk in chunks if chunk.choices[0].logprobs for one in chunk.choices[0].logprobs.content]
    expect(told == tokens, told)
    completion = complete(model=MODEL, prompt="Assay is", max_tokens=6, temperature=0, logprobs=2).choices[0]
    logprobs = completion.logprobs
    expect("".join(logprobs.tokens) == completion.text, completion)
    expect(len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == len(logprobs.tokens), logprobs)


@check
def the_likeliest_answer_is_always_the_same():
    first, second = (ask(STORY, seed=7).choices[0].message.content for _ in range(2))
    expect(first == second, (first, second))
    sampled = ask(STORY, seed=7, temperature=1, top_p=0.9).choices[0].message.content
    expect(sampled, sampled)


@check
def what_means_nothing_here_is_ignored():
    more = {"user": "somebody", "metadata": {"a": "b"}, "store": False, "service_tier": "auto"}
    answer = ask(**more, extra_body={"something_else": [1, 2]})
    expect(answer.choices[0].message.content == ask().choices[0].message.content, answer)


@check
def an_unknown_model_is_not_found():
    for lookup in [lambda: refused(openai.NotFoundError, model="gpt-4o"), missing_model]:
        error = lookup()
        expect(error.code == "model_not_found" and error.status_code == 404, error)


def missing_model():
    try:
        client.models.retrieve("gpt-4o")
    except openai.NotFoundError as caught:
        return caught
    raise AssertionError("a model that nobody has was found")


@check
def an_unknown_page_is_not_found():
    for path in ["/nothing", "/embeddings"]:
        try:
            client.post(path, cast_to=object, body={})
            raise AssertionError(f"{path} was found")
        except openai.NotFoundError as error:
            expect(error.body["message"] and error.type, error)


@check
def bad_values_are_refused_by_name():
    for name, value in {
        "temperature": -1,
        "top_p": 1.5,
        "n": 1000,
        "max_tokens": 0,
        "messages": [],
        "stop": ["a", "b", "c", "d", "e"],
    }.items():
        error = refused(openai.BadRequestError, **{name: value})
        expect(error.param == name and error.type == "invalid_request_error", (name, error.body))


@check
def what_is_not_built_is_refused_and_not_ignored():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/"}}]}]
    for name, value in {
        "tools": [tool],
        "response_format": {"type": "json_object"},
        "presence_penalty": 1,
        "frequency_penalty": 1,
        "logit_bias": {"1": 5},
    }.items():
        error = refused(openai.BadRequestError, **{name: value})
        expect(error.param == name and error.code == "unsupported_parameter", (name, error.body))
    refused(openai.BadRequestError, messages=picture)


@check
def a_prompt_that_does_not_fit_is_refused():
    long = [{"role": "user", "content": "What is Assay? " * 400}]
    error = refused(openai.BadRequestError, messages=long)
    expect(error.code == "context_length_exceeded", error.body)


@check
def a_refusal_is_not_sent_again():
    transport = Counting()
    try:
        through(transport, BASE_URL)(model=MODEL, messages=QUESTION, temperature=-1)
        raise AssertionError("not refused")
    except openai.BadRequestError as error:
        expect(error.response.headers["x-should-retry"] == "false", error.response.headers)
    expect(transport.sent == 1, transport.sent)


@check
def a_lost_answer_is_fetched_again_and_made_once():
    transport = Counting(lost=1)
    key = {"Idempotency-Key": f"lost-{id(transport)}"}
    more = {"model": MODEL, "messages": STORY, "temperature": 1, "max_tokens": 24, "extra_headers": key}
    answer = through(transport, BASE_URL)(**more)
    expect(transport.sent == 2, transport.sent)
    again = chat(**more)
    expect(again.id == answer.id and again.choices == answer.choices, (answer, again))


@check
def a_client_that_does_not_wait_disturbs_nobody():
    try:
        client.with_options(timeout=0.001).chat.completions.create(model=MODEL, messages=STORY)
        raise AssertionError("there was an answer at once")
    except openai.APITimeoutError:
        pass
    stream = ask(STORY, stream=True)
    next(stream)
    stream.close()
    expect(ask().choices[0].message.content, "nothing was said")


@check
def eight_streams_at_once_are_as_one_alone():
    alone = [ask(messages).choices[0].message.content for messages in (QUESTION, STORY)]

    async def stream(several, messages):
        chunks = await several.chat.completions.create(
            model=MODEL, messages=messages, temperature=0, max_tokens=48, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    async def all_streams():
        async with openai.AsyncOpenAI(base_url=BASE_URL, api_key="none", max_retries=0) as several:
            return await asyncio.gather(*(stream(several, m) for m in [QUESTION, STORY] * 4))

    told = asyncio.run(all_streams())
    expect(told == alone * 4, (told, alone))


run()
