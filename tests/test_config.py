"""Where configuration comes from, which layer wins, and errors that name their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vivavoz.app.config import Access, App, Budgets, Recordings
from vivavoz.config import (
    ENVIRONMENT,
    KNOWN_MODELS,
    Config,
    ConfigError,
    Entra,
    Limits,
    Mcp,
    Model,
    Secrets,
    Server,
    Testing,
    Tls,
    load,
    load_secrets,
    unknown_variables,
)
from vivavoz.engines.spec import EmbeddedStage, EngineSet, RemoteStage

TABLES = (
    "access",
    "app",
    "budgets",
    "engines",
    "entra",
    "limits",
    "mcp",
    "models",
    "recordings",
    "server",
    "testing",
    "tls",
    "turn",
)

FULL = """
default_engines = "mine"
default_model = "house-voice"
strict_models = true

[server]
host = "127.0.0.1"
port = 9000
allowed_hosts = ["voice.lan"]

[limits]
sessions = 7

[models."gpt-realtime"]
engines = "scripted"
aliases = ["fast"]

[engines.mine]
base = "scripted"
llm = { kind = "remote", base_url = "http://localhost:11434/v1", model = "llama3", api_key_env = "MY_KEY" }
turn = "none"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "vivavoz.toml"
    path.write_text(text)
    return path


def test_the_defaults_are_the_documented_ones() -> None:
    config = load(environment={})
    assert config == Config()
    assert (config.server.host, config.server.port, config.udp_port) == ("127.0.0.1", 8080, 8080)
    assert (config.limits.event_bytes, config.limits.session_seconds) == (15 * 2**20, 3600)


def test_a_whole_file(tmp_path: Path) -> None:
    config = load(write(tmp_path, FULL), environment={})
    assert config.server.port == 9000
    assert config.limits.sessions == 7
    llm = config.engine_set("mine").stage("llm")
    assert isinstance(llm, RemoteStage)
    assert (llm.model, llm.api_key_env) == ("llama3", "MY_KEY")
    assert config.engine_set("mine").stage("stt") == "scripted"


def test_flags_before_environment_before_file(tmp_path: Path) -> None:
    file = write(tmp_path, "[server]\nport = 1\nhost = 'a'\nworkers = 2\n")
    environment = {"VIVAVOZ_PORT": "2", "VIVAVOZ_HOST": "b", "VIVAVOZ_CONFIG": str(file)}
    config = load(environment=environment, flags={("server", "port"): "3", ("server", "host"): None})
    assert (config.server.port, config.server.host, config.server.workers) == (3, "b", 2)


def test_lists_and_switches_in_the_environment() -> None:
    config = load(
        environment={
            "VIVAVOZ_ADVERTISE": "10.0.0.1, voice.example.org,",
            "VIVAVOZ_TLS": "yes",
            "VIVAVOZ_STRICT_MODELS": "true",
            "VIVAVOZ_LIMIT_SESSIONS": "5",
            "VIVAVOZ_DRAIN_SECONDS": "1.5",
            "VIVAVOZ_ENTRA_JWKS": "http://127.0.0.1:8000/keys",
            "VIVAVOZ_ENTRA_TENANTS": "one, two",
        }
    )
    assert config.server.advertise == ("10.0.0.1", "voice.example.org")
    assert (config.tls.enabled, config.strict_models, config.limits.sessions) == (True, True, 5)
    assert config.server.drain_seconds == 1.5
    assert config.entra.tenants == ("one", "two")


def test_every_limit_has_a_variable() -> None:
    for name in Limits.__struct_fields__:
        assert ENVIRONMENT[f"VIVAVOZ_LIMIT_{name.upper()}"] == ("limits", name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\nport = 'x'", "server.port: expected `int`"),
        ("[server]\nport = 70000", "server.port: expected `int` <= 65535"),
        ("[server]\nprot = 1", "server: object contains unknown field `prot`"),
        ("nonsense = 1", "object contains unknown field `nonsense`"),
        ("[limits]\nsessions = 0", "limits.sessions: expected `int` >= 1"),
        ("default_engines = 'mine'", "default_engines: no set is called 'mine'; known: scripted, embedded"),
        ("[models.a]\nengines = 'b'", "models.\"a\".engines: no engine set is called 'b'"),
        ("[models.a]\naliases = ['b']\n[models.b]", "the name 'b' is already taken"),
        ("[engines.x.llm]\nkind = 'remote'\nmodel = 'm'", "missing required field `base_url`"),
        ("[engines.x.llm]\nkind = 'remote'\nmodel = 'm'\nbase_url = 'ftp://x'", "engines[...].llm.base_url"),
        ("[engines.x.llm]\nkind = 'magic'", "invalid value 'magic'"),
        ("[tls]\ncert = 'c'", "tls: cert and key are given together"),
        ("[server]\nudp_port = 65535\nworkers = 2", "server.udp_port"),
        ("[server]\ntcp_media_port = 65535\nworkers = 2", "server.tcp_media_port: 65535 leaves no room"),
        ("[server]\ntcp_media_port = 8079\nworkers = 2", "8080 is the port of HTTP, media needs another"),
        ("[server]\nallowed_origins = ['example.org']", "expected scheme://host"),
        ("[server]\nstrict_azure = true", "server.strict_azure: Azure knows deployments only"),
        ("[entra]\ntenants = ['t']", "entra: jwks"),
        ("[entra]\njwks = 'keys.json'", "entra: name tenants or issuers"),
        ("[entra]\njwks = 'http://x.example/k'\ntenants = ['t']", "entra.jwks: keys are fetched over https"),
        ("[entra]\njwks = 'http://localhost.x.example/k'\ntenants = ['t']", "entra.jwks: keys are fetched"),
        ("[entra]\njwks = 'k'\ntenants = ['t']\naudiences = []", "entra.audiences: expected at least one"),
        ("[server\n", "not valid TOML"),
    ],
)
def test_errors_name_the_file_the_key_and_what_is_expected(text: str, says: str, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load(file, environment={})
    assert str(raised.value).startswith(f"{file}: ")
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "flags", "says"),
    [
        ({"VIVAVOZ_PORT": "high"}, {}, "VIVAVOZ_PORT: expected `int`"),
        ({"VIVAVOZ_LOG_LEVEL": "loud"}, {}, "VIVAVOZ_LOG_LEVEL: invalid enum value 'loud'"),
        ({"VIVAVOZ_TLS": "perhaps"}, {}, "VIVAVOZ_TLS: expected `bool`"),
        ({}, {("server", "udp_port"): "-1"}, "--udp-port: expected `int` >= 0"),
        ({}, {("default_engines",): "nope"}, "no set is called 'nope'"),
        ({"VIVAVOZ_CONFIG": "/does/not/exist.toml"}, {}, "/does/not/exist.toml: cannot be read"),
    ],
)
def test_errors_name_the_variable_or_the_flag(
    environment: dict[str, str], flags: dict[tuple[str, ...], Any], says: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(environment=environment, flags=flags)
    assert says in str(raised.value)


def test_models_lead_to_engine_sets(tmp_path: Path) -> None:
    config = load(write(tmp_path, FULL), environment={})
    assert config.engine_set_of("gpt-realtime") == "scripted"
    assert config.engine_set_of("fast") == "scripted"
    assert config.engine_set_of("gpt-4o-realtime-preview-2024-12-17") == "mine"
    assert config.engine_set_of("house-voice") == "mine"
    assert config.engine_set_of("unheard-of") is None
    assert config.engine_sets_in_use() == ("mine", "scripted")
    assert Config(default_engines="scripted").engine_set_of("unheard-of") == "scripted"


@pytest.mark.parametrize("name", KNOWN_MODELS)
def test_well_known_names_work_even_when_strict(name: str) -> None:
    assert Config(default_engines="scripted", strict_models=True).engine_set_of(name) == "scripted"


def test_the_built_in_sets_need_no_table_and_yield_to_one() -> None:
    assert Config(script="s.toml").engine_set("scripted") == EngineSet(base="scripted", script="s.toml")
    mine = EngineSet(base="scripted", turn="none")
    assert Config(engines={"embedded": mine}).engine_set("embedded") == mine
    with pytest.raises(ConfigError, match="known: scripted, embedded"):
        Config().engine_set("other")


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-a-file\n")
    assert load_secrets({"VIVAVOZ_API_KEY": " one, two ,"}).api_keys == ("one", "two")
    assert load_secrets({"VIVAVOZ_API_KEY_FILE": str(file)}).api_keys == ("from-a-file",)
    assert load_secrets({"VIVAVOZ_TOKEN_SECRET": "s"}).token_secret == "s"
    assert load_secrets({}).api_keys == ()


@pytest.mark.parametrize(
    "environment",
    [
        {"VIVAVOZ_API_KEY": "with space"},
        {"VIVAVOZ_API_KEY": "ek_like-a-token"},
        {"VIVAVOZ_API_KEY": "schlüssel"},
        {"VIVAVOZ_API_KEY_FILE": "/does/not/exist"},
    ],
)
def test_unusable_secrets_are_refused_without_being_shown(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        load_secrets(environment)
    assert "VIVAVOZ_API_KEY" in str(raised.value)
    assert "schlüssel" not in str(raised.value)


def test_secrets_do_not_show() -> None:
    assert "sesame" not in repr(Secrets(("sesame",), "sesame"))


def test_misspelt_variables_are_found() -> None:
    environment = {"VIVAVOZ_PROT": "1", "VIVAVOZ_PORT": "1", "VIVAVOZ_API_KEY": "k", "OTHER": "x"}
    assert unknown_variables(environment) == ["VIVAVOZ_PROT"]


def test_state_goes_where_the_user_keeps_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Config().state_dir == tmp_path / "vivavoz"
    assert load(environment={"VIVAVOZ_STATE_DIR": "~/x"}).state_dir == Path("~/x").expanduser()


def test_the_documentation_names_every_key_and_variable() -> None:
    text = (Path(__file__).parent.parent / "docs/configuration.md").read_text()
    for struct in (
        Config,
        Server,
        Tls,
        Entra,
        Limits,
        Testing,
        Mcp,
        App,
        Access,
        Budgets,
        Recordings,
        Model,
        EngineSet,
        EmbeddedStage,
        RemoteStage,
    ):
        for name in struct.__struct_fields__:
            if name not in TABLES:
                assert f"`{name}`" in text, name
    for variable in ENVIRONMENT:
        assert variable in text or variable.startswith(("VIVAVOZ_LIMIT_", "VIVAVOZ_APP_")), variable


def test_every_key_of_the_application_has_a_variable() -> None:
    environment = {
        "VIVAVOZ_APP_UPSTREAM": "azure",
        "VIVAVOZ_APP_ORIGINS": "https://a.example, https://b.example",
        "VIVAVOZ_APP_ACCESS_OPEN": "yes",
        "VIVAVOZ_APP_BUDGETS_CALLS": "3",
    }
    app = load(environment=environment).app
    assert (app.upstream, app.origins) == ("azure", ("https://a.example", "https://b.example"))
    assert (app.access.open, app.budgets.calls) == (True, 3)
    with pytest.raises(ConfigError, match=r"VIVAVOZ_APP_BUDGETS_CALLS: expected `int` >= 0"):
        load(environment={"VIVAVOZ_APP_BUDGETS_CALLS": "-1"})
