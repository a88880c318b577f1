"""LangChain's chat model and completion model: `python_langchain.py BASE_URL MODEL [CHECK…]`."""

import asyncio
import sys

import openai
from checks import check, expect, run
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI, OpenAI

BASE_URL, MODEL = sys.argv[1:3]
COMMON = {"base_url": BASE_URL, "api_key": "none", "model": MODEL, "temperature": 0, "max_retries": 0}
model = ChatOpenAI(**COMMON, max_tokens=48)
QUESTION = "What is Assay?"


@check
def a_message_is_answered():
    answer = model.invoke([SystemMessage("Be brief."), HumanMessage(QUESTION)])
    expect(answer.content, answer)
    usage = answer.usage_metadata
    expect(usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0, usage)
    expect(answer.response_metadata["finish_reason"] in ["stop", "length"], answer.response_metadata)


@check
def a_chain_streams():
    chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | model | StrOutputParser()
    pieces = list(chain.stream({"question": QUESTION}))
    expect(len(pieces) > 1 and "".join(pieces) == chain.invoke({"question": QUESTION}), pieces)


@check
def a_stream_is_metered():
    gathered = None
    for chunk in ChatOpenAI(**COMMON, max_tokens=48, stream_usage=True).stream(QUESTION):
        gathered = chunk if gathered is None else gathered + chunk
    expect(gathered.usage_metadata == model.invoke(QUESTION).usage_metadata, gathered.usage_metadata)


@check
def a_batch_is_answered_in_order():
    questions = [QUESTION, "Tell me a story about a fox."] * 2
    answers = [answer.content for answer in model.batch(questions)]
    expect(answers[:2] == answers[2:] and answers[0] != answers[1], answers)
    alone = asyncio.run(model.ainvoke(QUESTION)).content
    expect(answers[0] == alone, (answers[0], alone))


@check
def a_text_is_completed():
    text = OpenAI(**COMMON, max_tokens=12).invoke("Assay is")
    expect(text, text)
    told = "".join(OpenAI(**COMMON, max_tokens=12).stream("Assay is"))
    expect(told == text, (told, text))


@check
def tools_are_refused():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    try:
        model.bind_tools([tool]).invoke(QUESTION)
        raise AssertionError("tools were taken")
    except openai.BadRequestError as error:
        expect(error.code == "unsupported_parameter", error)


run()
