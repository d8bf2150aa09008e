"""File, environment and command line, in rising precedence, with every fault of all of them."""

import pytest

from chargehand.config.errors import ConfigError
from chargehand.config.load import PROGRAM_DEFAULTS, load, settings_names, variable_of
from chargehand.config.settings import PluginSettings, Settings


@pytest.fixture
def file(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "chargehand.toml"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def errors(*arguments, **options):
    options.setdefault("environ", {})
    with pytest.raises(ConfigError) as caught:
        load(*arguments, **options)
    return caught.value.errors


def test_nothing_at_all_means_the_defaults():
    assert load(environ={}) == Settings()


def test_the_program_begins_with_http_on():
    assert load(environ={}, program_defaults=PROGRAM_DEFAULTS).http.enabled is True


def test_a_file_may_turn_off_what_the_program_turns_on(file):
    path = file("[http]\nenabled = false\n")
    assert load(path, environ={}, program_defaults=PROGRAM_DEFAULTS).http.enabled is False


def test_later_sources_win(file):
    path = file("port = 1\nhost = '127.0.0.3'\n[sessions]\nqueue_limit = 1\ninbox_limit = 1\n")
    environ = {"CHARGEHAND_PORT": "2", "CHARGEHAND_SESSIONS__QUEUE_LIMIT": "2", "PATH": "/bin"}
    settings = load(path, environ=environ, overrides={"port": 3})
    assert (settings.host, settings.port) == ("127.0.0.3", 3)
    assert (settings.sessions.queue_limit, settings.sessions.inbox_limit) == (2, 1)


def test_an_option_that_was_not_given_overrides_nothing():
    assert load(environ={"CHARGEHAND_PORT": "2"}, overrides={"port": None, "http.port": None}).port == 2


def test_an_option_reaches_into_a_section():
    assert load(environ={}, overrides={"http.port": 8081}).http.port == 8081


def test_a_variable_names_the_file(file):
    assert load(environ={"CHARGEHAND_CONFIG": str(file("port = 5"))}).port == 5


def test_the_file_of_the_command_line_wins_over_the_variable(file, tmp_path):
    assert load(file("port = 5"), environ={"CHARGEHAND_CONFIG": str(tmp_path / "none")}).port == 5


def test_a_byte_order_mark_is_no_fault(file):
    assert load(file("port = 5", "utf-8-sig"), environ={}).port == 5


@pytest.mark.parametrize(
    ("variable", "text", "section", "key", "value"),
    [
        ("CHARGEHAND_HOST", "::1", "", "host", "::1"),
        ("CHARGEHAND_HOST", "12", "", "host", "12"),
        ("CHARGEHAND_POLICY", "strict", "", "policy", "strict"),
        ("CHARGEHAND_OPEN", "Yes", "", "open", True),
        ("CHARGEHAND_TLS__PLAIN", "true", "tls", "plain", True),
        ("CHARGEHAND_SESSIONS__ACCEPT_UNBOOTED", "0", "sessions", "accept_unbooted", False),
        ("CHARGEHAND_SESSIONS__COMMAND_TIMEOUT_S", "2.5", "sessions", "command_timeout_s", 2.5),
        ("CHARGEHAND_SESSIONS__ASSUME_SUBPROTOCOL", '["*"]', "sessions", "assume_subprotocol", ("*",)),
        ("CHARGEHAND_DEADLINES__ACTIONS", '{"Authorize": 5}', "deadlines", "actions", {"Authorize": 5.0}),
        ("CHARGEHAND_AUTH__CREDENTIALS", '{"CP1": "pw"}', "auth", "credentials", {"CP1": "pw"}),
        ("CHARGEHAND_PLUGINS", '["a:B"]', "", "plugins", (PluginSettings(class_name="a:B"),)),
    ],
)
def test_a_variable_is_read_by_the_type_of_its_setting(variable, text, section, key, value):
    settings = load(environ={variable: text})
    assert getattr(getattr(settings, section) if section else settings, key) == value


def test_every_setting_has_one_variable():
    variables = [variable_of(name) for name in settings_names()]
    assert len(set(variables)) == len(variables) > 50


def test_every_fault_of_every_source_is_told_at_once_with_its_source(file):
    path = file("hst = 'x'\n[sessions]\nqueue_limit = 'many'\n[tls]\ncertificate = 'c.pem'\n")
    environ = {
        "CHARGEHAND_PORT": "ten",
        "CHARGEHAND_PLUGINS": "a:B",
        "CHARGEHAND_SESSION__QUEUE_LIMIT": "3",
        "CHARGEHAND_HTTP__PORT": "9000",
        "CHARGEHAND_HTTP__ENABLED": "maybe",
    }
    assert set(errors(path, environ=environ, overrides={"policy": "strct"})) == {
        f'hst: unknown; did you mean "host"? (in {path})',
        f'sessions.queue_limit: must be a whole number, at least 1, not "many" (in {path})',
        "tls.key: missing, though tls.certificate is given",
        'port: must be a whole number, from 0 to 65535, not "ten" (from CHARGEHAND_PORT)',
        "plugins: must be JSON (from CHARGEHAND_PLUGINS)",
        "CHARGEHAND_SESSION__QUEUE_LIMIT: unknown; did you mean CHARGEHAND_SESSIONS__QUEUE_LIMIT?",
        'http.enabled: must be true or false, not "maybe" (from CHARGEHAND_HTTP__ENABLED)',
        'policy: must be "lenient" or "strict", not "strct"; did you mean "strict"? (on the command line)',
    }


def test_a_fault_between_settings_is_not_told_when_one_of_them_is_wrong_itself(file):
    path = file("[tls]\ncertificate = 7\nkey = 'k.pem'\n")
    assert errors(path) == (f"tls.certificate: must be text, not 7 (in {path})",)


def test_a_value_where_a_table_is_due_is_one_fault(file):
    path = file("http = 8080\n")
    assert errors(path, environ={"CHARGEHAND_HTTP__PORT": "1"}) == (
        f"http: must be a table, not 8080 (in {path})",
    )


def test_broken_toml_is_one_line_with_its_place(file):
    path = file("port = 1\nhost = = 2\n")
    assert errors(path) == (f"{path}: not TOML: Invalid value (at line 2, column 8)",)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    path = tmp_path / "none.toml"
    assert errors(path) == (f"{path}: cannot be read: No such file or directory",)


def test_a_file_that_is_not_text_is_one_line(file):
    path = file("host = 'ä'", "latin-1")
    assert errors(path) == (f"{path}: not UTF-8 at byte 8",)


def test_a_mistyped_variable_is_told_the_right_one():
    assert errors(environ={"CHARGEHAND_PROT": "1"}) == (
        "CHARGEHAND_PROT: unknown; did you mean CHARGEHAND_PORT?",
    )


def test_the_given_options_are_left_as_they_are():
    overrides = {"sessions.queue_limit": 7}
    load(environ={"CHARGEHAND_SESSIONS__INBOX_LIMIT": "9"}, overrides=overrides)
    assert overrides == {"sessions.queue_limit": 7}


def test_an_error_is_a_value_error_with_a_line_for_each_fault():
    error = ConfigError(["a: b", "c: d"])
    assert isinstance(error, ValueError)
    assert str(error) == "a: b\nc: d"


def test_what_would_let_strangers_in_is_told_together_with_everything_else(file):
    path = file('prot = 1\nhost = "0.0.0.0"\n')
    told = errors(path, serves=True)
    assert len(told) == 2
    assert "did you mean" in told[0]
    assert "host: 0.0.0.0 is not loopback" in told[1]
    load(file('host = "0.0.0.0"\n'), environ={})


def test_who_opens_no_store_need_not_know_which_one_is_shared(file):
    # `serve` may have --store and --workers on its command line, of which another command knows nothing.
    path = file("workers = 2\n[redis]\nurl = 'redis://127.0.0.1'\n")
    (told,) = errors(path, program_defaults=PROGRAM_DEFAULTS)
    assert told.startswith("store: must be")
    assert load(path, environ={}, program_defaults=PROGRAM_DEFAULTS, stores=False).redis.url
    (told,) = errors(path)
    assert told.startswith("workers: several share no memory")


def test_who_may_connect_is_not_judged_by_credentials_that_cannot_be_read(file):
    (told,) = errors(file('host = "0.0.0.0"\n[auth]\ncredentials = 1\n'), serves=True)
    assert told.startswith("auth.credentials")
