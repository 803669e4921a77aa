"""The clients that people use, against the real server and the model that ships with it."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import anthropic
import ollama
import openai
import pytest
from pydantic import BaseModel

from app.services import api_server, open_everything
from models.builtin import FOLDER

QUESTION = "What is 2 plus 2?"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]
STORY: Any = [{"role": "user", "content": "Tell me a story about a dog."}]
ANSWER = "2 + 2 = 4."
GREEDY = {"temperature": 0}
WEATHER: Any = {
    "name": "weather",
    "description": "Get the weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


class Sum(BaseModel):
    left: int
    right: int


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive a test: the fixture below ends them."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with the model that ships with the program, also under a name people know."""
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        services.settings.change(context_length=2048)
        services.store.copy("pocket", "llama3.2")
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        yield server.ports[0]
        server.stop()


class TestOpenAI:
    @pytest.fixture
    def client(self, port: int) -> Iterator[openai.OpenAI]:
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
            yield client

    def test_a_chat(self, client: openai.OpenAI):
        reply = client.chat.completions.create(model="pocket", messages=MESSAGES, temperature=0)

        assert reply.choices[0].message.content == ANSWER
        assert reply.choices[0].finish_reason == "stop"
        assert reply.usage and reply.usage.total_tokens > reply.usage.completion_tokens > 0

    def test_a_stream(self, client: openai.OpenAI):
        stream = client.chat.completions.create(
            model="pocket",
            messages=MESSAGES,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )

        *chunks, last = list(stream)

        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert said == ANSWER
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert last.usage and last.usage.completion_tokens > 0

    def test_the_stream_helper(self, client: openai.OpenAI):
        with client.chat.completions.stream(
            model="pocket", messages=MESSAGES, temperature=0
        ) as stream:
            completion = stream.get_final_completion()

        assert completion.choices[0].message.content == ANSWER

    def test_several_choices_and_their_odds(self, client: openai.OpenAI):
        def ask() -> list[str | None]:
            reply = client.chat.completions.create(
                model="pocket", messages=STORY, n=3, seed=5, temperature=0.8, max_tokens=30,
                logprobs=True, top_logprobs=2,
            )  # fmt: skip
            assert [choice.index for choice in reply.choices] == [0, 1, 2]
            for choice in reply.choices:
                assert choice.logprobs and choice.logprobs.content
                assert len(choice.logprobs.content[0].top_logprobs) == 2
            return [choice.message.content for choice in reply.choices]

        ask()  # known from now on: the numbers of a first reading are a little other
        first = ask()

        assert len(set(first)) > 1
        assert ask() == first  # the seed says it all

    def test_several_choices_in_a_stream(self, client: openai.OpenAI):
        stream = client.chat.completions.create(
            model="pocket", messages=MESSAGES, n=2, temperature=0, stream=True
        )

        said = ["", ""]
        for chunk in stream:
            for choice in chunk.choices:
                said[choice.index] += choice.delta.content or ""
        assert said == [ANSWER, ANSWER]

    def test_an_answer_of_a_given_form(self, client: openai.OpenAI):
        reply = client.chat.completions.parse(
            model="pocket", messages=MESSAGES, response_format=Sum, temperature=0, max_tokens=60
        )

        assert isinstance(reply.choices[0].message.parsed, Sum)

    def test_completions(self, client: openai.OpenAI):
        def ask(prompt: Any, **asked: Any) -> openai.types.Completion:
            return client.completions.create(
                model="pocket", prompt=prompt, temperature=0, max_tokens=4, **asked
            )

        reply = ask(["Once upon a", "2 + 2 ="], echo=True)
        assert [choice.text.startswith(begin) for choice, begin in zip(
            reply.choices, ("Once upon a", "2 + 2 ="), strict=True
        )] == [True, True]  # fmt: skip
        pieces = client.completions.create(
            model="pocket", prompt="Once upon a", temperature=0, max_tokens=4, stream=True
        )
        streamed = "".join(piece.choices[0].text for piece in pieces)
        assert "Once upon a" + streamed == reply.choices[0].text
        best = ask("Once upon a", n=1, best_of=3, seed=1)
        assert len(best.choices) == 1

    def test_embeddings(self, client: openai.OpenAI):
        numbers = client.embeddings.create(
            model="pocket", input=["a dog", "a cat"], encoding_format="float"
        )
        packed = client.embeddings.create(model="pocket", input=["a dog", "a cat"])

        assert [each.index for each in packed.data] == [0, 1]
        for one, other in zip(numbers.data, packed.data, strict=True):
            assert other.embedding == pytest.approx(one.embedding, abs=1e-6)
        assert numbers.usage.prompt_tokens > 0

    async def test_the_async_client(self, port: int):
        url = f"http://127.0.0.1:{port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            completion = await client.completions.create(
                model="pocket", prompt="Once upon a", temperature=0, max_tokens=4
            )
            vectors = await client.embeddings.create(model="pocket", input="a dog")
            stream = await client.chat.completions.create(
                model="pocket", messages=MESSAGES, temperature=0, stream=True, n=2
            )
            chunks = [chunk async for chunk in stream]

        assert completion.choices[0].text
        assert vectors.data[0].embedding
        assert {chunk.choices[0].index for chunk in chunks} == {0, 1}

    def test_the_models(self, client: openai.OpenAI):
        names = [model.id for model in client.models.list()]

        assert "llama3.2:latest" in names
        assert client.models.retrieve("llama3.2").id == "llama3.2"

    def test_errors_have_their_classes(self, client: openai.OpenAI):
        with pytest.raises(openai.NotFoundError, match="model 'nothere' not found"):
            client.chat.completions.create(model="nothere", messages=MESSAGES)
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(
                model="pocket", messages=[{"role": "user", "content": "dog " * 3000}]
            )
        assert caught.value.code == "context_length_exceeded"

    def test_responses(self, client: openai.OpenAI):
        first = client.responses.create(model="pocket", input=QUESTION, temperature=0)
        with client.responses.stream(
            model="pocket", input=QUESTION, temperature=0, store=False
        ) as stream:
            streamed = stream.get_final_response()
        background = client.responses.create(
            model="pocket",
            input="Thank you.",
            temperature=0,
            previous_response_id=first.id,
            background=True,
        )
        waited = client.responses.retrieve(background.id, stream=True)

        assert first.output_text == streamed.output_text == ANSWER
        assert first.usage and first.usage.output_tokens > 0
        assert [event.type for event in waited][-1] == "response.completed"
        asked = client.responses.input_items.list(background.id, order="asc").data
        assert [item.to_dict()["role"] for item in asked] == ["user", "assistant", "user"]
        client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(first.id)

    def test_a_response_of_a_given_form(self, client: openai.OpenAI):
        class Sum(BaseModel):
            total: int

        said = client.responses.parse(
            model="pocket", input=QUESTION, temperature=0, text_format=Sum
        )

        assert isinstance(said.output_parsed, Sum)

    def test_a_conversation_is_kept(self, client: openai.OpenAI):
        kept = client.conversations.create(items=[{"role": "user", "content": "I am Ann."}])
        client.responses.create(model="pocket", input=QUESTION, conversation=kept.id)

        said = client.conversations.items.list(kept.id, order="asc").data
        assert [item.to_dict()["role"] for item in said] == ["user", "user", "assistant"]
        assert client.conversations.delete(kept.id).deleted

    async def test_many_at_once(self, port: int):
        url = f"http://127.0.0.1:{port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:

            async def ask() -> str | None:
                reply = await client.chat.completions.create(
                    model="pocket", messages=MESSAGES, temperature=0
                )
                return reply.choices[0].message.content

            assert await asyncio.gather(*(ask() for _ in range(6))) == [ANSWER] * 6

    async def test_leaving_a_stream_frees_the_model_for_the_next(self, port: int):
        url = f"http://127.0.0.1:{port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            stream = await client.chat.completions.create(
                model="pocket", messages=MESSAGES, stream=True
            )
            async for _ in stream:
                break
            await stream.close()

            reply = await client.chat.completions.create(
                model="pocket", messages=MESSAGES, temperature=0
            )

        assert reply.choices[0].message.content == ANSWER


class TestOllama:
    @pytest.fixture
    def client(self, port: int) -> Iterator[ollama.Client]:
        with ollama.Client(host=f"http://127.0.0.1:{port}") as client:
            yield client

    def test_a_chat(self, client: ollama.Client):
        reply = client.chat("pocket", MESSAGES, options=GREEDY)

        assert reply.message.content == ANSWER
        assert reply.done_reason == "stop"
        assert reply.total_duration and reply.eval_count and reply.prompt_eval_count

    def test_a_stream(self, client: ollama.Client):
        parts = list(client.chat("pocket", MESSAGES, stream=True, options=GREEDY))

        assert "".join(part.message.content or "" for part in parts) == ANSWER
        assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]

    def test_a_generation_that_is_taken_up_again(self, client: ollama.Client):
        first = client.generate("pocket", QUESTION, options=GREEDY)
        again = client.generate("pocket", QUESTION, context=first.context, options=GREEDY)

        assert first.response == ANSWER
        assert first.context and again.context
        assert list(again.context)[: len(first.context)] == list(first.context)

    def test_loading_and_unloading(self, client: ollama.Client):
        client.generate("pocket", keep_alive="10m")
        assert "pocket:latest" in [model.model for model in client.ps().models]

        assert client.generate("pocket", keep_alive=0).done_reason == "unload"
        assert "pocket:latest" not in [model.model for model in client.ps().models]

    def test_facts(self, client: ollama.Client):
        assert "llama3.2:latest" in [model.model for model in client.list().models]
        shown = client.show("llama3.2")
        assert shown.capabilities == ["completion", "vision", "tools", "thinking"]
        assert shown.modelinfo and shown.modelinfo["llama.context_length"] == 2048

    def test_vectors(self, client: ollama.Client):
        vectors = client.embed("pocket", ["a dog", "a cat"], dimensions=8)
        older = client.embeddings("pocket", "a dog")

        assert [len(each) for each in vectors.embeddings] == [8, 8]
        assert vectors.total_duration and vectors.prompt_eval_count
        assert len(older.embedding) > 8

    def test_a_model_is_made_used_and_removed(self, client: ollama.Client):
        statuses = client.create(
            "cat",
            from_="pocket",
            system="You are a cat.",
            parameters={"temperature": 0, "num_predict": 5},
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
        )
        assert [each.status for each in statuses][-1] == "success"
        client.copy("cat", "gpt-3.5-turbo")

        said = client.chat("gpt-3.5-turbo", MESSAGES)
        shown = client.show("cat")

        assert said.done_reason == "length" and said.eval_count == 5
        assert shown.parameters and "num_predict" in shown.parameters
        assert client.pull("gpt-3.5-turbo").status == "success"
        assert client.delete("gpt-3.5-turbo").status == "success"
        assert "cat:latest" in [each.model for each in client.list().models]
        client.delete("cat")

    def test_a_template_given_at_its_making_is_used(self, client: ollama.Client):
        client.create("plain", from_="pocket", template="{{ .Prompt }}")
        options = {"temperature": 0, "num_predict": 6}

        said = client.chat("plain", MESSAGES, options=options)
        raw = client.generate("pocket", QUESTION, raw=True, options=options)

        assert said.message.content == raw.response
        client.delete("plain")

    def test_a_file_that_is_sent_becomes_a_model(self, client: ollama.Client):
        path = FOLDER / "gguf/pocket.gguf"
        digest = client.create_blob(path)
        assert client.create("sent", files={path.name: digest}).status == "success"

        assert client.chat("sent", MESSAGES, options=GREEDY).message.content == ANSWER
        client.delete("sent")

    async def test_the_store_by_the_async_client(self, port: int):
        async with ollama.AsyncClient(host=f"http://127.0.0.1:{port}") as client:
            making = await client.create("dog", from_="pocket", stream=True)
            assert [each.status async for each in making][-1] == "success"
            vectors = await client.embed("dog", "hello")
            with pytest.raises(ollama.ResponseError, match="names no registry"):
                await client.push("dog")
            await client.delete("dog")

        assert vectors.embeddings[0]

    def test_errors_have_their_status(self, client: ollama.Client):
        with pytest.raises(ollama.ResponseError) as caught:
            client.chat("nothere", MESSAGES)

        assert caught.value.status_code == 404
        assert caught.value.error == "model 'nothere' not found"

    async def test_streams_of_the_async_client(self, port: int):
        async with ollama.AsyncClient(host=f"http://127.0.0.1:{port}") as client:
            chat = await client.chat("pocket", MESSAGES, stream=True, options=GREEDY)
            said = [part.message.content or "" async for part in chat]
            generate = await client.generate("pocket", QUESTION, stream=True, options=GREEDY)
            generated = [part.response async for part in generate]

        assert "".join(said) == "".join(generated) == ANSWER


class TestAnthropic:
    @pytest.fixture
    def client(self, port: int) -> Iterator[anthropic.Anthropic]:
        url = f"http://127.0.0.1:{port}"
        with anthropic.Anthropic(base_url=url, api_key="none") as client:
            yield client

    def test_a_message(self, client: anthropic.Anthropic):
        message = client.messages.create(
            model="pocket", max_tokens=100, messages=MESSAGES, extra_body=GREEDY
        )

        [block] = message.content
        assert block.type == "text" and block.text == ANSWER
        assert message.stop_reason == "end_turn"
        assert message.usage.output_tokens > 0

    def test_a_stream(self, client: anthropic.Anthropic):
        stream = client.messages.create(
            model="pocket", max_tokens=100, messages=MESSAGES, extra_body=GREEDY, stream=True
        )

        events = list(stream)

        assert [events[0].type, events[-1].type] == ["message_start", "message_stop"]
        said = [event.delta for event in events if event.type == "content_block_delta"]
        assert "".join(delta.text for delta in said if delta.type == "text_delta") == ANSWER

    def test_the_stream_helper(self, client: anthropic.Anthropic):
        with client.messages.stream(
            model="pocket", max_tokens=100, messages=MESSAGES, extra_body=GREEDY
        ) as stream:
            said = "".join(stream.text_stream)
            message = stream.get_final_message()

        assert said == ANSWER
        assert message.stop_reason == "end_turn"
        assert message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0) > 10

    def test_a_string_that_ends_it(self, client: anthropic.Anthropic):
        message = client.messages.create(
            model="pocket",
            max_tokens=100,
            messages=MESSAGES,
            extra_body=GREEDY,
            stop_sequences=["never", "= 4"],
        )

        [block] = message.content
        assert block.type == "text" and block.text == "2 + 2 "
        assert message.stop_reason == "stop_sequence"
        assert message.stop_sequence == "= 4"

    def test_a_count_is_what_a_message_then_takes(self, client: anthropic.Anthropic):
        counted = client.messages.count_tokens(model="pocket", messages=MESSAGES)

        message = client.messages.create(
            model="pocket", max_tokens=1, messages=MESSAGES, extra_body=GREEDY
        )
        usage = message.usage
        assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)

    def test_a_talk_of_several_turns_under_a_system_text(self, client: anthropic.Anthropic):
        message = client.messages.create(
            model="pocket",
            max_tokens=100,
            system=[{"type": "text", "text": "You are a helpful assistant."}],
            messages=[
                {"role": "user", "content": "Hello!"},
                {"role": "assistant", "content": [{"type": "text", "text": "Hello!"}]},
                *MESSAGES,
            ],
            extra_body=GREEDY,
        )

        [block] = message.content
        assert block.type == "text" and block.text

    def test_a_tool_turn(self, client: anthropic.Anthropic):
        asked: Any = [{"role": "user", "content": "What is the weather in Bern?"}]

        first = client.messages.create(
            model="pocket", max_tokens=100, messages=asked, tools=[WEATHER], extra_body=GREEDY
        )
        [call] = first.content
        assert (first.stop_reason, call.type) == ("tool_use", "tool_use")
        assert call.type == "tool_use" and call.input == {"city": "Bern"}
        result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        second = client.messages.create(
            model="pocket",
            max_tokens=100,
            messages=[
                *asked,
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": [result]},
            ],
            tools=[WEATHER],
            extra_body=GREEDY,
        )

        [block] = second.content
        assert block.type == "text" and block.text

    def test_a_tool_that_must_be_called_in_a_stream(self, client: anthropic.Anthropic):
        with client.messages.stream(
            model="pocket",
            max_tokens=100,
            messages=MESSAGES,
            tools=[WEATHER],
            tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            extra_body=GREEDY,
        ) as stream:
            pieces = [event.partial_json for event in stream if event.type == "input_json"]
            message = stream.get_final_message()

        [call] = message.content
        assert call.type == "tool_use" and call.name == "weather"
        assert json.loads("".join(pieces)) == call.input
        assert set(call.input) == {"city"}

    @pytest.mark.parametrize("display", ["summarized", "omitted"])
    def test_thoughts_that_are_shown_and_that_are_not(self, client, display: str):
        thinking: Any = {"type": "enabled", "budget_tokens": 1024, "display": display}
        asked: Any = {"model": "pocket", "max_tokens": 100, "thinking": thinking}

        whole = client.messages.create(**asked, messages=MESSAGES, extra_body=GREEDY)
        with client.messages.stream(**asked, messages=MESSAGES, extra_body=GREEDY) as stream:
            streamed = stream.get_final_message()

        thought, answer = whole.content
        assert [thought.type, answer.type] == ["thinking", "text"]
        assert bool(thought.thinking) == (display == "summarized")
        assert thought.signature
        assert [each.to_dict(exclude_none=True) for each in streamed.content] == [
            each.to_dict(exclude_none=True) for each in whole.content
        ]
        assert whole.usage.output_tokens_details.thinking_tokens > 0

    def test_a_count_of_all_that_makes_the_prompt(self, client: anthropic.Anthropic):
        asked: Any = {"model": "pocket", "messages": MESSAGES}
        thinking: Any = {"type": "enabled", "budget_tokens": 1024}

        bare = client.messages.count_tokens(**asked, tools=[]).input_tokens
        thoughts = client.messages.count_tokens(**asked, thinking=thinking).input_tokens
        tools = client.messages.count_tokens(**asked, tools=[WEATHER]).input_tokens

        assert bare < thoughts < tools

    def test_what_was_found_in_the_cache_is_told_where_that_is_asked_for(self, client):
        asked: Any = {"model": "pocket", "max_tokens": 9, "messages": MESSAGES}

        plain = client.messages.create(**asked, extra_body=GREEDY).usage
        marked = client.messages.create(
            **asked, cache_control={"type": "ephemeral"}, extra_body=GREEDY
        ).usage

        assert not plain.cache_read_input_tokens
        assert marked.cache_read_input_tokens > 0
        assert marked.cache_read_input_tokens + marked.cache_creation_input_tokens == (
            plain.input_tokens
        )

    def test_the_models(self, client: anthropic.Anthropic):
        models = {model.id: model for model in client.models.list(limit=2)}

        assert {"pocket:latest", "llama3.2:latest"} <= models.keys()
        pocket = client.models.retrieve("pocket")
        assert pocket.max_input_tokens == 2048
        assert pocket.capabilities and pocket.capabilities.thinking.supported

    async def test_a_tool_call_of_the_async_client(self, port: int):
        url = f"http://127.0.0.1:{port}"
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as client:
            asked: Any = {
                "model": "pocket",
                "max_tokens": 100,
                "messages": MESSAGES,
                "tools": [WEATHER],
                "tool_choice": {"type": "any"},
                "extra_body": GREEDY,
            }
            whole = await client.messages.create(**asked)
            async with client.messages.stream(**asked) as stream:
                streamed = await stream.get_final_message()
            listed = [model.id async for model in client.models.list(limit=1)]
            count = await client.messages.count_tokens(model="pocket", messages=MESSAGES)

        [called], [again] = whole.content, streamed.content
        assert called.type == "tool_use" and again.type == "tool_use"
        assert called.input == again.input
        assert "pocket:latest" in listed
        assert count.input_tokens > 0

    def test_errors_have_their_classes(self, client: anthropic.Anthropic):
        with pytest.raises(anthropic.NotFoundError, match="model 'nothere' not found"):
            client.messages.create(model="nothere", max_tokens=9, messages=MESSAGES)
        with pytest.raises(anthropic.BadRequestError, match="prompt is too long: "):
            client.messages.create(
                model="pocket",
                max_tokens=9,
                messages=[{"role": "user", "content": "dog " * 3000}],
            )

    async def test_many_at_once_and_a_stream(self, port: int):
        url = f"http://127.0.0.1:{port}"
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as client:

            async def ask() -> str:
                async with client.messages.stream(
                    model="pocket", max_tokens=100, messages=MESSAGES, extra_body=GREEDY
                ) as stream:
                    return await stream.get_final_text()

            assert await asyncio.gather(*(ask() for _ in range(6))) == [ANSWER] * 6
            message = await client.messages.create(
                model="pocket", max_tokens=100, messages=MESSAGES, extra_body=GREEDY
            )

        [block] = message.content
        assert block.type == "text" and block.text == ANSWER

    async def test_leaving_a_stream_frees_the_model_for_the_next(self, port: int):
        url = f"http://127.0.0.1:{port}"
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as client:
            async with client.messages.stream(
                model="pocket", max_tokens=100, messages=MESSAGES
            ) as stream:
                async for _ in stream:
                    break
            message = await client.messages.create(
                model="pocket", max_tokens=100, messages=MESSAGES, extra_body=GREEDY
            )

        assert message.stop_reason == "end_turn"


class TestLlamaServer:
    """What clients of llama.cpp's server ask for, on the model that ships with us."""

    def ask(self, port: int, path: str, body: dict[str, Any]) -> Any:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return answer

    @pytest.mark.parametrize("model", ["pocket", "pocket:mlx"])
    def test_a_text_its_tokens_and_back(self, port: int, model: str):
        asked = {"model": model, "content": "Hi 😀", "with_pieces": True}

        got = self.ask(port, "/tokenize", asked)["tokens"]
        ids = self.ask(port, "/tokenize", asked | {"with_pieces": False})["tokens"]

        assert [each["id"] for each in got] == ids
        pieces = [each["piece"] for each in got]
        assert b"".join(bytes(p) if isinstance(p, list) else p.encode() for p in pieces) == (
            "Hi 😀".encode()
        )
        text = self.ask(port, "/detokenize", {"model": model, "tokens": ids})
        assert text == {"content": "Hi 😀"}
        wrong = self.ask(port, "/detokenize", {"model": model, "tokens": [10**6]})
        assert wrong["error"]["code"] == 400

    def test_the_prompt_of_a_chat_can_be_counted(self, port: int):
        asked = {"model": "pocket", "messages": MESSAGES}

        prompt = self.ask(port, "/apply-template", asked)["prompt"]
        bare = self.ask(port, "/apply-template", asked | {"add_generation_prompt": False})
        ids = self.ask(port, "/tokenize", {"model": "pocket", "content": prompt})["tokens"]

        assert QUESTION in prompt
        assert prompt.startswith(bare["prompt"]) and len(prompt) > len(bare["prompt"])
        url = f"http://127.0.0.1:{port}"
        with anthropic.Anthropic(base_url=url, api_key="none") as client:
            counted = client.messages.count_tokens(model="pocket", messages=MESSAGES)
        assert counted.input_tokens == len(ids)

    def test_without_a_model_the_last_is_meant(self, port: int):
        assert self.ask(port, "/models/load", {"model": "pocket"}) == {"success": True}
        asked = {"input_prefix": "1, 2,", "input_suffix": "", "n_predict": 20}
        got = self.ask(port, "/infill", asked)

        assert got["model"] == "pocket:latest"
        assert got["stop"]
        assert self.ask(port, "/models/unload", {"model": "pocket"}) == {"success": True}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
class TestCurl:
    """Ollama's own API as its documentation shows it; of OpenAI's: tests/test_documents.py."""

    def curl(self, *arguments: str) -> Any:
        run = subprocess.run(
            ["curl", "-sS", "--fail", *arguments], capture_output=True, text=True, check=True
        )
        return [json.loads(line) for line in run.stdout.splitlines()]

    def test_a_chat(self, port: int):
        lines = self.curl(
            f"http://localhost:{port}/api/chat",
            "-d",
            """{
                "model": "llama3.2",
                "messages": [{"role": "user", "content": "why is the sky blue?"}]
            }""",
        )

        assert lines[-1]["done"]
        assert "".join(line["message"]["content"] for line in lines)

    def test_a_generation(self, port: int):
        [reply] = self.curl(
            f"http://localhost:{port}/api/generate",
            "-d",
            '{"model": "llama3.2", "prompt": "Why is the sky blue?", "stream": false}',
        )

        assert reply["response"]
