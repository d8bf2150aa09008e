"""Addresses of Redis: wrong ones, and real servers with TLS, users and sentinels."""

import pytest

from chargehand.remote.redis.address import Address, AddressError, RedisAway
from chargehand.remote.redis.link import Link

from ...certificates import make_certificate
from ...hub import settle, until
from ...ports import free_port
from ..redis_process import RedisProcess


def name_of(address: Address, name: str = "test") -> str:
    """Connect, and return the name that Redis has for the connection."""
    connection = address.connect(name)
    try:
        connection.send_command("CLIENT", "GETNAME")
        return connection.read_response().decode()
    finally:
        connection.disconnect()


WRONG = [
    "",
    "localhost",
    "http://:s3cret@h",
    "unix:///run/redis",
    "redis://u:s3cret@h:port",
    "redis://u:s3cret@h:99999",
    "redis://:s3cret@h/db",
    "redis://:s3cret@h?nothing=1",
    "redis://:s3cret@h?db=x",
    "redis://u:s3c/ret@h:6379",
    "rediss://:s3cret@h?ssl_cert_reqs=some",
    "redis://:s3cret@[::1",
    "redis+sentinel://:s3cret@h",
    "redis+sentinel://:s3cret@h/",
    "redis+sentinel://:s3cret@h:x/service",
    "redis+sentinel://:s3cret@h,/service",
    "redis+sentinel://:s3cret@h/service/x",
]


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_address_is_one_clear_line_without_the_password(url):
    with pytest.raises(AddressError, match="is no address of Redis: ") as raised:
        Address(url)
    said = str(raised.value)
    assert "\n" not in said
    assert "s3c" not in said
    assert "ret@" not in said


def test_a_good_address_is_shown_without_its_password():
    assert Address("redis://u:s3cret@h:1/2").shown == "redis://u:***@h:1/2"
    assert Address("redis+sentinel://:s3cret@h,i:1/s").shown == "redis+sentinel://:***@h,i:1/s"
    assert "s3cret" not in Address("rediss://h?ssl_password=s3cret").shown


@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid", "a..b", "x" * 300])
def test_where_there_is_no_redis_it_is_away(host):
    with pytest.raises(RedisAway) as raised:
        Address(f"redis://:s3cret@{host}").connect("test")
    assert "s3cret" not in str(raised.value)
    settle()


def test_a_server_with_a_password_wants_it(own_redis):
    server = own_redis("--requirepass", "p@ss/word")
    assert name_of(Address(f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}")) == "test"
    for user in ("", ":s3cret@"):
        with pytest.raises(RedisAway) as raised:
            Address(f"redis://{user}127.0.0.1:{server.port}").connect("test")
        assert "s3cret" not in str(raised.value)


def test_a_user_of_redis_logs_in_and_a_database_is_chosen(own_redis):
    server = own_redis("--user", "me", "on", ">secret", "~*", "+@all")
    connection = Address(f"redis://me:secret@127.0.0.1:{server.port}/3").connect("a name: 1")
    connection.send_command("CLIENT", "INFO")
    info = dict(part.split("=", 1) for part in connection.read_response().decode().split())
    connection.disconnect()
    assert (info["user"], info["db"], info["name"]) == ("me", "3", "a%20name:%201")
    with pytest.raises(RedisAway):
        Address(f"redis://me:wrong@127.0.0.1:{server.port}").connect("test")


def test_a_database_that_there_is_not_is_away(redis_server):
    with pytest.raises(RedisAway, match=r"Invalid Database|out of range"):
        Address(f"redis://127.0.0.1:{redis_server.port}/999").connect("test")


@pytest.fixture
def tls_server(own_redis, tmp_path):
    chain, key = make_certificate(tmp_path, "server")
    port = free_port()
    options = [
        "--port",
        "0",
        "--tls-port",
        str(port),
        "--tls-cert-file",
        str(chain),
        "--tls-key-file",
        str(key),
    ]
    options += ["--tls-ca-cert-file", str(chain), "--tls-auth-clients", "no"]
    own_redis(*options, port=port)
    return f"rediss://127.0.0.1:{port}", chain


def test_tls_trusts_whom_it_is_told_to_and_nobody_else(tls_server, tmp_path):
    url, chain = tls_server
    assert name_of(Address(f"{url}?ssl_ca_certs={chain}")) == "test"
    assert name_of(Address(f"{url}?ssl_cert_reqs=none")) == "test"
    other, _ = make_certificate(tmp_path, "other")
    for wrong in (url, f"{url}?ssl_ca_certs={other}", f"{url}?ssl_ca_certs={tmp_path}/none"):
        with pytest.raises(RedisAway):
            Address(wrong).connect("test")
    with pytest.raises(RedisAway):
        Address(url.replace("rediss", "redis")).connect("test")
    wrong_name = f"{url.replace('127.0.0.1', 'localhost')}?ssl_ca_certs={chain}"
    with pytest.raises(RedisAway):
        Address(wrong_name).connect("test")
    assert name_of(Address(f"{wrong_name}&ssl_check_hostname=false")) == "test"
    settle()


def test_a_link_carries_much_over_tls_both_ways(tls_server):
    url, chain = tls_server
    link = Link(Address(f"{url}?ssl_ca_certs={chain}"), "test")
    link.start()
    try:
        assert link.wait(60)
        values = [bytes([number]) * 50_000 for number in range(200)]
        results = [link.send("ECHO", value) for value in values]
        assert [result.get(timeout=60) for result in results] == values
    finally:
        link.stop()
        settle()


@pytest.fixture
def sentinel(own_redis, tmp_path):
    """Master with a replica, and a sentinel that watches them."""
    master = own_redis("--repl-diskless-sync-delay", "0")
    replica = own_redis("--replicaof", f"127.0.0.1 {master.port}")
    port = free_port()
    file = tmp_path / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n"
    )
    watcher = RedisProcess(tmp_path, "--sentinel", port=port)
    watcher.start(file)
    yield master, replica, port
    watcher.kill()


def test_sentinels_name_the_master_and_after_its_end_the_next_one(sentinel):
    master, replica, port = sentinel
    address = Address(f"redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/main")
    with pytest.raises(RedisAway, match="knows no service"):
        Address(f"redis+sentinel://127.0.0.1:{port}/other").connect("test")
    link = Link(address, "test")
    link.start()
    try:
        assert link.wait(60)
        assert port_of(link) == master.port
        link.ask("SET", "key", "value")
        until(lambda: knows_replica(port), timeout_s=60)
        assert link.ask("WAIT", 1, 2000) == 1
        master.kill()
        until(lambda: port_of(link) == replica.port, timeout_s=60)
        assert link.ask("GET", "key") == b"value"
        until(lambda: writes(link), timeout_s=60)
    finally:
        link.stop()
        settle()


def port_of(link: Link) -> int:
    found = link.send("CONFIG", "GET", "port")
    found.wait()
    return int(found.value[1]) if found.successful() else 0


def writes(link: Link) -> bool:
    done = link.send("SET", "other", "value")
    done.wait()
    return done.successful()


def knows_replica(port: int) -> bool:
    connection = Address(f"redis://127.0.0.1:{port}").connect("test")
    try:
        connection.send_command("SENTINEL", "REPLICAS", "main")
        replicas = connection.read_response()
        return bool(replicas) and b"ok" in replicas[0][replicas[0].index(b"master-link-status") + 1]
    finally:
        connection.disconnect()
