"""The API's description, by somebody else's validator, and the answers beside it: address, key."""

import json
import sys
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

address, key = sys.argv[1:]


def ask(path, body=None, key=key):
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(address + path, body and json.dumps(body).encode(), headers)
    try:
        answer = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers.get_content_type(), answer.read()


document = json.loads(ask("/openapi.json")[2])
validate(document)


def check(path, operation, answer):
    status, kind, body = answer
    responses = document["paths"][path][operation]["responses"]
    content = responses.get(str(status), responses.get("default"))["content"]
    assert kind in content, (path, status, kind)
    if kind == "application/json":
        schema = {"components": document["components"], **content[kind]["schema"]}
        Draft202012Validator(schema).validate(json.loads(body))


asked = 0
for path, operations in document["paths"].items():
    if "get" in operations:
        for concrete in {path.replace("{id}", "tts-1"), path.replace("{id}", "nobody")}:
            check(path, "get", ask(concrete))
            check(path, "get", ask(concrete, key="bad-key"))
            asked += 2
for body in [
    {"input": "Hello.", "response_format": "wav"},
    {"input": "Hello.", "stream_format": "sse"},
    {"input": "Hello.", "voice": "nobody"},
    {"input": ""},
]:
    check("/v1/audio/speech", "post", ask("/v1/audio/speech", body))
    asked += 1
print(f"{asked} answers are as described")
