"""OpenAI's client before a gateway whose budget is used up: `python_broke.py BASE_URL MODEL`."""

import sys

import openai
from checks import check, expect, run
from transport import Counting, through

BASE_URL, MODEL = sys.argv[1:3]
QUESTION = [{"role": "user", "content": "What is Assay?"}]


@check
def who_has_no_money_is_told_so_once():
    transport = Counting()
    try:
        through(transport, BASE_URL)(model=MODEL, messages=QUESTION, max_tokens=400)
        raise AssertionError("somebody answered for nothing")
    except openai.APIStatusError as error:
        expect(error.status_code == 402, error)
        expect(error.response.headers["x-should-retry"] == "false", error.response.headers)
        expect(error.code and error.body["message"], error.body)
    expect(transport.sent == 1, transport.sent)


run()
