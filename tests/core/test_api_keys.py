import secrets

import pytest

from quotastack.core.api_keys import checksum, hash_secret, is_secret, make_api_key, parse_api_key


def test_a_new_key_parses_into_its_parts() -> None:
    text, parts = make_api_key("test", secrets.token_bytes)
    assert text.startswith(f"qs_test_{parts.key_id}_{parts.secret}")
    assert len(text) == len("qs_test_") + 10 + 1 + 43 + 6
    assert parse_api_key(text) == parts


def test_keys_of_the_two_environments_differ_in_the_prefix() -> None:
    text, parts = make_api_key("live", secrets.token_bytes)
    assert text.startswith("qs_live_")
    assert parts.environment == "live"
    assert parse_api_key(text.replace("qs_live_", "qs_test_")) is None


def test_every_single_mistyped_character_is_found() -> None:
    text, _ = make_api_key("test", secrets.token_bytes)
    for position in range(len(text)):
        other = "x" if text[position] != "x" else "y"
        assert parse_api_key(text[:position] + other + text[position + 1 :]) is None


@pytest.mark.parametrize(
    "text", ["", "qs_test_", "sk_live_abc", "qs_prod_" + "a" * 60, "qs_test_" + "ä" * 60, "\x00"]
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert parse_api_key(text) is None


def test_white_space_is_not_forgiven() -> None:
    text, _ = make_api_key("test", secrets.token_bytes)
    assert parse_api_key(f" {text}") is None
    assert parse_api_key(f"{text}\n") is None


def test_the_checksum_is_the_published_one() -> None:
    assert checksum("qs_test_0000000000_" + "0" * 43) == "3FSZcA"


def test_only_the_secret_of_the_hash_proves() -> None:
    pepper = secrets.token_bytes(32)
    stored = hash_secret("a" * 43, pepper)
    assert is_secret("a" * 43, pepper, stored)
    assert not is_secret("b" * 43, pepper, stored)
    assert not is_secret("a" * 43, secrets.token_bytes(32), stored)


def test_digits_are_uniform_over_the_alphabet() -> None:
    """Bytes from 248 up are skipped: they would make the first eight digits more likely."""
    stream = iter(bytes(range(256)) * 40)
    text, _ = make_api_key("test", lambda count: bytes(next(stream) for _ in range(count)))
    assert parse_api_key(text) is not None
