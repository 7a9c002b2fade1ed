"""The page as a set of tools, used by a real MCP client, behind a path of its own."""

import asyncio
import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import soundfile

from tests.puppet import Puppeteer

pytest.importorskip("mcp")
ROOT = "/talking/faces"


@pytest.fixture(scope="module")
def address():
    from emoface.ui.app import build_app, launch_options

    page = build_app(pipeline=Puppeteer, opening=False)
    page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(page), "mcp_server": True, "root_path": ROOT})
    yield page.local_url
    page.close()


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(16000) / 8), 16000)
    return "data:audio/wav;base64," + base64.b64encode(path.read_bytes()).decode()


def ask(address, calls):
    """The names of the tools, and the answers to ``calls`` (tool, arguments)."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def talk():
        async with streamablehttp_client(f"{address}gradio_api/mcp/") as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            return {tool.name: tool for tool in tools}, [await session.call_tool(*call) for call in calls]

    with ThreadPoolExecutor(1) as thread:  # the browser tests' Playwright keeps a loop in this one
        return thread.submit(lambda: asyncio.run(talk())).result()


def test_an_agent_animates_and_is_told_what_is_wrong(address, speech):
    tools, (made, unknown, forbidden) = ask(
        address,
        [
            ("animate", {"speech": speech, "emotion": "happy", "format": "csv"}),
            ("animate", {"speech": speech, "emotion": "cheerful"}),
            ("animate", {"speech": "/etc/passwd"}),
        ],
    )
    assert set(tools) == {"animate", "cross_reconstruct", "importance"}
    assert all(len(tool.description) > 100 for tool in tools.values())
    words = " ".join(part.text for part in made.content)
    assert not made.isError and "animation.csv" in words and "'emotion': 'happy'" in words.replace('"', "'")
    assert unknown.isError and "surprised" in unknown.content[0].text  # the emotions there are
    assert forbidden.isError and "root:" not in forbidden.content[0].text


def test_addresses_hold_behind_a_root_path(address):
    html = httpx.get(address, timeout=900).text
    config = json.loads(re.search(r"window\.gradio_config = (\{.*?\});</script>", html, re.S)[1])
    assert config["root"].endswith(ROOT)
    assert 'href="/' not in config["head"]  # relative, so that the browser adds the path
