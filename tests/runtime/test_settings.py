from pathlib import Path

import pytest

from quotastack.runtime.settings import Settings, SettingsError, describe_settings, load_settings


def test_defaults_are_the_contract() -> None:
    settings = load_settings({})
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8080, 1)
    assert settings.webhook_retry_waits == (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
    assert (settings.events_retention_days, settings.deliveries_retention_days) == (90, 30)
    assert settings.webhook_timeout_seconds == 5
    assert not settings.webhook_allow_private


def test_variables_are_read() -> None:
    settings = load_settings(
        {"QUOTASTACK_PORT": "9000", "QUOTASTACK_WEBHOOK_RETRY_WAITS": "1, 2,3", "PATH": "x"}
    )
    assert settings.port == 9000
    assert settings.webhook_retry_waits == (1, 2, 3)


def test_the_command_line_wins() -> None:
    assert load_settings({"QUOTASTACK_PORT": "9000"}, port=9001).port == 9001
    assert load_settings({"QUOTASTACK_PORT": "9000"}, port=None).port == 9000


def test_an_unknown_variable_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(
        SettingsError, match=r"QUOTASTACK_PROT is not a setting\. Did you mean QUOTASTACK_PORT\?"
    ):
        load_settings({"QUOTASTACK_PROT": "9000"})


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(
            {
                "QUOTASTACK_PORT": "many",
                "QUOTASTACK_WORKERS": "0",
                "QUOTASTACK_WEBHOOK_TIMEOUT_SECONDS": "31",
                "QUOTASTACK_SECRET": "x",
            }
        )
    for name in ("PORT", "WORKERS", "WEBHOOK_TIMEOUT_SECONDS", "SECRET"):
        assert f"QUOTASTACK_{name}" in str(caught.value)


def test_secrets_do_not_show() -> None:
    settings = load_settings(
        {
            "QUOTASTACK_DATABASE_URL": "postgresql://a:hidden@b/c",
            "QUOTASTACK_SECRET_KEY": "hidden-and-long-enough",
        }
    )
    assert "hidden" not in repr(settings)


def test_paths_are_absolute() -> None:
    assert load_settings({}).data == Path.cwd() / ".quotastack"


def test_every_setting_is_described() -> None:
    described = describe_settings()
    for name in ("DATABASE_URL", "DATA", "WEBHOOK_RETRY_WAITS", "BATCH_SCOPE", "ORIGIN"):
        assert f"QUOTASTACK_{name}  " in described


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text()
    missing = [name for name in Settings.model_fields if f"`QUOTASTACK_{name.upper()}`" not in page]
    assert not missing, f"add to docs/reference/settings.md: {missing}"


def test_variables_of_clients_are_none_of_ours() -> None:
    load_settings({"QUOTASTACK_API_KEY": "qs_test_x", "QUOTASTACK_BASE_URL": "http://x"})
