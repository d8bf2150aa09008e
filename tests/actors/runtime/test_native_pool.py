"""Threads of handlers that block: waiting for one is a reason for the hub to go on."""

import subprocess
import sys

ALONE = """
import time
from gevent import get_hub
from chargehand.actors.runtime.native_pool import NativePool
from chargehand.actors.runtime.threads import inlet_of

pool = NativePool(1, inlet_of(get_hub()), "pool", abandoned=print, all_stuck=print)
print(pool.run(lambda: time.sleep(0.2) or 7))
try:
    pool.run(lambda: time.sleep(0.2) or 1 / 0)
except ZeroDivisionError:
    print("raised")
pool.close()
"""


def test_a_handler_that_blocks_is_waited_for_though_nothing_else_keeps_the_hub_alive():
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["7", "raised"], "")
