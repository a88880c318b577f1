"""What lies between OpenAI's client for Python and the network."""

import httpx2
import openai


class Counting(httpx2.HTTPTransport):
    """Counts requests, and loses the first `lost` answers after they were made."""

    def __init__(self, lost=0):
        super().__init__()
        self.sent, self.lost = 0, lost

    def handle_request(self, request):
        self.sent += 1
        response = super().handle_request(request)
        if self.sent <= self.lost:
            response.read()
            raise httpx2.ReadError("the answer was lost", request=request)
        return response


def through(transport, base_url):
    """The client's call for chats, which it tries three times if it thinks that this helps."""
    http = openai.DefaultHttpxClient(transport=transport)
    return openai.OpenAI(base_url=base_url, api_key="none", http_client=http, max_retries=2).chat.completions.create
