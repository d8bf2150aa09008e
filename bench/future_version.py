"""A chargehand of a version to come, for upgrades under load: `python -m future_version serve …` is its command line.

Its tables have a step more, its nodes speak a newer link beside this one, and what they say to others has a new member.
"""

from gevent import monkey

monkey.patch_all()

import msgspec  # noqa: E402 - after the patch

from chargehand.remote.cluster import messages  # noqa: E402
from chargehand.remote.cluster.coordinator import LINK  # noqa: E402
from chargehand.remote.cluster.redis_coordinator import RedisCoordinator  # noqa: E402
from chargehand.store import postgres_schema  # noqa: E402

STEP = """
    ALTER TABLE transactions ADD COLUMN foreseen text NOT NULL DEFAULT 'of a version to come';
    CREATE TABLE foreseen (number bigint PRIMARY KEY);
    CREATE INDEX transactions_foreseen ON transactions (foreseen);
"""


def encode(message: messages.NodeMessage) -> bytes:
    """Write a message as a newer program does."""
    told = msgspec.to_builtins(message, builtin_types=(bytes,))
    return msgspec.msgpack.encode({**told, "foreseen": {"a": 1}})


postgres_schema.STEPS += (STEP,)
RedisCoordinator.__init__.__kwdefaults__["links"] = (LINK + 1, LINK)
messages.encode = encode

if __name__ == "__main__":
    from chargehand.cli.main import main

    main(prog_name="chargehand")
