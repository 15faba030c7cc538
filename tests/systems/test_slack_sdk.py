"""slack_sdk and our own messages against one fake of Slack's, and a press that both ends understand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from fakes.slack import CHANNEL, SIGNING, TOKEN, Slack, slack
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import Block
from slack_sdk.signature import SignatureVerifier

from watchtower.connectors.signatures import Arrived, authentic
from watchtower.flow.post import Postman, Undelivered
from watchtower.flow.slack import Press, post_to_slack, pressed
from watchtower.rulebook.telling import Receiver

BODY = {
    "type": "alert.opened",
    "data": {
        "id": "al_1", "rule": "mql_uncontacted", "record": "lead/L-17", "severity": "high", "status": "open",
        "because": "An MQL has waited 48 hours: <!channel> *now*", "owner": "anna", "queue": "attention-needed",
        "since": "2026-03-04T09:00:00.000000Z", "due": None, "note": "", "ai_informed": False,
    },
}  # fmt: skip


@pytest.fixture
def fake() -> Iterator[Slack]:
    with slack() as served:
        yield served


def receiver(fake: Slack, channel: str = CHANNEL) -> Receiver:
    return Receiver.model_validate(
        {"kind": "slack", "url": "https://slack.com/api/chat.postMessage", "secret": "SLACK_TOKEN", "channel": channel,
         "signing": "SLACK_SIGNING", "people": {"U1": "anna"}}
    ).model_copy(update={"url": fake.post_url})  # fmt: skip


def test_the_sdk_posts_to_our_fake_and_is_refused_as_slack_refuses(fake: Slack) -> None:
    client = WebClient(token=TOKEN, base_url=f"{fake.url}/api/")
    said = client.chat_postMessage(channel=CHANNEL, text="hello", blocks=[])
    assert said["ok"] and said["message"]["text"] == "hello"
    with pytest.raises(SlackApiError, match="channel_not_found"):
        client.chat_postMessage(channel="C9", text="x")
    with pytest.raises(SlackApiError, match="invalid_auth"):
        WebClient(token="xoxb-wrong", base_url=f"{fake.url}/api/").chat_postMessage(channel=CHANNEL, text="x")


def test_our_messages_are_blocks_that_the_sdk_reads_back_whole(fake: Slack) -> None:
    postman = Postman()
    post_to_slack(postman, receiver(fake), TOKEN, [("m1", BODY)], "https://tower.example.com")
    post_to_slack(postman, receiver(fake), TOKEN, [(f"m{n}", BODY) for n in range(90)], "https://tower.example.com")
    for message in fake.messages:
        blocks = Block.parse_all(message["blocks"])
        assert [block.to_dict() for block in blocks] == message["blocks"]
        for block in blocks:
            block.validate_json()
    with pytest.raises(Undelivered, match="channel_not_found"):
        post_to_slack(postman, receiver(fake, "C9"), TOKEN, [("m1", BODY)], "")
    with pytest.raises(Undelivered, match="invalid_auth"):
        post_to_slack(postman, receiver(fake), "xoxb-wrong", [("m1", BODY)], "")
    postman.close()


def test_a_press_is_known_by_the_sdks_signature_and_by_ours_alike(fake: Slack) -> None:
    post_to_slack(Postman(), receiver(fake), TOKEN, [("m1", BODY)], "")
    now = datetime.fromtimestamp(int(time.time()), UTC)
    headers, body = fake.press("Acknowledge", user="U1", now=now)
    sent = [(key.encode(), value.encode()) for key, value in headers.items()]
    for changed, right in ((body, True), (body + b"x", False)):
        arrived = Arrived("POST", "https://tower.example.com/slack/interactions", sent, changed)
        assert authentic("slack", arrived, [SIGNING], now) is right
        assert SignatureVerifier(SIGNING).is_valid_request(changed, headers) is right
    assert pressed(body) == Press(
        "alert", "al_1", "acknowledge", "U1",
        "https://hooks.slack.com/actions/AABA1ABCD/1232321423432/D09sSasdasdAS9091209",
    )  # fmt: skip
